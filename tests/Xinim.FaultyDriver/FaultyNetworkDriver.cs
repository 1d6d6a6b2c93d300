using System.Diagnostics;
using Xinim.Drivers;
using Xinim.Drivers.Network;
using Xinim.Drivers.Network.E1000;
using Xinim.Ipc.Native;
using Xinim.Ipc.Protocols;
using Xinim.Ipc.Rings;
using Xinim.Vfio;
using Xinim.Vfio.Dma;

namespace Xinim.FaultyDriver;

/// <summary>
/// A working E1000 driver that does on command what no driver should. The command is a word at the start of its work region, written from outside
/// through /proc/PID/mem: so no product code knows of commands, and the sandbox of drivers stays as it is.
/// </summary>
internal sealed class FaultyNetworkDriver : INetworkDriver
{
    public const string Name = "e1000-faulty";
    private const uint MailboxWords = 32;
    private const int Lines = 10_000;

    private readonly INetworkDriver _inner;
    private readonly DmaBuffer<uint> _mailbox;
    private readonly Action<string> _log;
    private readonly List<object> _hoard = [];
    private NetBuffer _lastFree;
    private NetBuffer _lastSubmitted;
    private bool _swallowed;
    private bool _withholds;

    private FaultyNetworkDriver(DriverContext context)
    {
        // The first block of the arena, so that it lies at the region's start.
        _mailbox = context.Arena.Allocate<uint>(MailboxWords, 128);
        _log = context.Log;
        _inner = new E1000Driver(context);
    }

    public bool TxBusy => _inner.TxBusy;

    public LinkState Link => _inner.Link;

    public NetworkStatistics Statistics => _inner.Statistics;

    public static INetworkDriver Make(DriverContext context) => new FaultyNetworkDriver(context);

    public NetworkDeviceInfo Start() => _inner.Start();

    public void Attach(BufferTable buffers) => _inner.Attach(buffers);

    public void Detach() => _inner.Detach();

    public uint TxProvide(RingConsumer<NetBuffer> submitted)
    {
        if (_withholds) return 0;
        if (submitted.Peek(1) == 0) return 0;
        _lastSubmitted = submitted.Read(0);
        if ((Misdeed)Volatile.Read(ref _mailbox[0]) != Misdeed.FalseCompletion || _swallowed) return _inner.TxProvide(submitted);
        submitted.Release(1);
        _swallowed = true;
        return 1;
    }

    public uint TxReturn(RingProducer<NetBuffer> completed)
    {
        Misdeed command = (Misdeed)Volatile.Read(ref _mailbox[0]);
        bool forges = command == Misdeed.FalseCompletion ? _swallowed : command is >= Misdeed.UnknownCompletion and <= Misdeed.WildIndex;
        if (forges) return Forge(completed, command);
        return _withholds ? 0 : _inner.TxReturn(completed);
    }

    public uint RxProvide(RingConsumer<NetBuffer> free)
    {
        if (_withholds) return 0;
        if (free.Peek(1) != 0) _lastFree = free.Read(0);
        return _inner.RxProvide(free);
    }

    /// <summary>The first that the loop calls: commands are obeyed here.</summary>
    public uint RxReturn(RingProducer<NetBuffer> received)
    {
        Misdeed command = (Misdeed)Volatile.Read(ref _mailbox[0]);
        if (command is >= Misdeed.UnknownReceive and <= Misdeed.EndlessReceive) return Forge(received, command);
        if (command is > Misdeed.None and < Misdeed.UnknownReceive or Misdeed.Withhold) Obey(command);
        return _withholds ? 0 : _inner.RxReturn(received);
    }

    public void ArmInterrupts() => _inner.ArmInterrupts();

    public void MaskInterrupts() => _inner.MaskInterrupts();

    public void OnInterrupt(int vector) => _inner.OnInterrupt(vector);

    public void OnTimer() => _inner.OnTimer();

    public void SetFilters(in NetworkFilters filters) => _inner.SetFilters(filters);

    public void StopReceiving() => _inner.StopReceiving();

    public void Stop() => _inner.Stop();

    public void Dispose() => _inner.Dispose();

    private void Obey(Misdeed command)
    {
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
            default: _withholds = true; break;
        }
    }

    private uint Forge(RingProducer<NetBuffer> ring, Misdeed command)
    {
        if (ring.Reserve(2) < 2) return 0;
        Done();
        NetBuffer buffer = command >= Misdeed.UnknownCompletion ? _lastSubmitted : _lastFree;
        uint count = 1;
        switch (command)
        {
            case Misdeed.UnknownReceive or Misdeed.UnknownCompletion: buffer.Cookie = 0x1234_5678_9abc; break;
            case Misdeed.DoubleReceive or Misdeed.DoubleCompletion: count = 2; break;
            case Misdeed.LongReceive: buffer.Length = 70_000; break;
            case Misdeed.EarlyReceive: buffer.Length = 64; break;
            case Misdeed.EndlessReceive: (buffer.Flags, count) = (NetFlags.More, ring.Reserve(ring.Capacity)); break;
            case Misdeed.FalseCompletion: _swallowed = false; break;
            case Misdeed.WildIndex: count = ring.Capacity * 3; break;
        }

        for (uint i = 0; i < Math.Min(count, ring.Capacity); i++) ring[i] = buffer;
        ring.Publish(count);
        return count;
    }

    /// <summary>A command is obeyed once.</summary>
    private void Done() => Volatile.Write(ref _mailbox[0], (uint)Misdeed.None);

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
