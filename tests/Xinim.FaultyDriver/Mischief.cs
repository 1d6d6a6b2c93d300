using System.Diagnostics;
using Xinim.Drivers;
using Xinim.Ipc.Native;
using Xinim.Vfio;
using Xinim.Vfio.Dma;

namespace Xinim.FaultyDriver;

/// <summary>
/// What a faulty driver was told to do, and what drivers of every class can do wrong. The command is a word in the last page of its work region, written from
/// outside through /proc/PID/mem: so no product code knows of commands, and the sandbox of drivers stays as it is.
/// </summary>
internal sealed class Mischief
{
    private const int MailboxBytes = 4096;
    private const int Lines = 10_000;

    private readonly DmaBuffer<uint> _mailbox;
    private readonly Action<string> _log;
    private readonly List<object> _hoard = [];

    /// <param name="context">Its arena is as it was afterwards: a driver starts from its front, and none reaches its end.</param>
    public Mischief(DriverContext context)
    {
        context.Arena.Skip(context.Arena.Free - MailboxBytes);
        _mailbox = context.Arena.Allocate<uint>(MailboxBytes / sizeof(uint), 128);
        context.Arena.Reset();
        _log = context.Log;
    }

    /// <summary>Takes frames or requests, and moves none any more.</summary>
    public bool Withholds { get; private set; }

    /// <summary>What it was told and has not done.</summary>
    public Misdeed Command => (Misdeed)Volatile.Read(ref _mailbox[0]);

    /// <summary>A command is obeyed once.</summary>
    public void Done() => Volatile.Write(ref _mailbox[0], (uint)Misdeed.None);

    /// <summary>Does what any driver can do wrong, if that is the command.</summary>
    public void Obey()
    {
        Misdeed command = Command;
        if (command is Misdeed.None or (>= Misdeed.UnknownReceive and <= Misdeed.WildIndex)) return;
        Done();
        switch (command)
        {
            case Misdeed.Exit: Environment.Exit(77); break;
            case Misdeed.Throw: throw new DeviceFaultException("the campaign wants the device broken");
            case Misdeed.Crash: throw new NotSupportedException("the campaign wants a bug");
            case Misdeed.LeakMemory: LeakMemory(); break;
            case Misdeed.LeakDescriptors: LeakDescriptors(); break;
            case Misdeed.Spin: Spin(); break;
            case Misdeed.Sleep: Thread.Sleep(Timeout.Infinite); break;
            case Misdeed.Babble: Babble(); break;
            default: Withholds = true; break;
        }
    }

    private void LeakMemory()
    {
        while (true) _hoard.Add(new byte[1 << 16]);
    }

    private void LeakDescriptors()
    {
        try
        {
            while (true) _hoard.Add(Descriptor.CreateEvent());
        }
        catch (Ipc.LinuxException)
        {
            // All that this process may have.
        }
    }

    private static void Spin()
    {
        long start = Stopwatch.GetTimestamp();
        while (Stopwatch.GetElapsedTime(start) >= TimeSpan.Zero) Thread.SpinWait(100);
    }

    private void Babble()
    {
        for (int line = 0; line < Lines; line++) _log($"line {line} of a driver that cannot stop");
    }
}
