using System.Diagnostics;
using Microsoft.Win32.SafeHandles;
using Xinim.Ipc.Channels;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Native;
using Xinim.Ipc.Protocols;

namespace Xinim.Supervisor.Tests.Native;

/// <summary>A client of a disk that writes an index which no ring can have.</summary>
internal sealed class HostileBlockClient : IDisposable
{
    private readonly DaemonConnection _control;
    private readonly SafeFileHandle _ownBell;
    private readonly SafeFileHandle _driverBell;
    private SharedRegion _memory;
    private BlockRings.ClientEnd _rings;

    public HostileBlockClient(string socket, string disk)
    {
        _control = DaemonConnection.Connect(socket, Machine.Limit, reason => new InvalidOperationException(reason));
        using ChannelMessage opened = _control.Open(ClientMessage.OpenBlock, new OpenBlockMessage { Device = FixedText.From(disk), PoolBytes = 4096, Submissions = 8, Completions = 8 });
        OpenedBlockMessage what = opened.Get<OpenedBlockMessage>();
        _memory = SharedRegion.Open(opened.TakeHandle(1), what.RingsBytes, RegionAccess.ReadWrite);
        _ownBell = opened.TakeHandle(2);
        _driverBell = opened.TakeHandle(3);
        _rings = new BlockRings.ClientEnd(_memory, what.Rings, _ownBell, _driverBell);
    }

    public void BreakRings()
    {
        _rings.Submitted.Publish(_rings.Submitted.Capacity * 3);
        _rings.Driver.Ring();
    }

    /// <summary>It gets fresh rings.</summary>
    public void AwaitReopened()
    {
        using ChannelMessage message = Await(ClientMessage.Reopened);
        OpenedBlockMessage what = message.Get<OpenedBlockMessage>();
        _memory.Dispose();
        _memory = SharedRegion.Open(message.TakeHandle(0), what.RingsBytes, RegionAccess.ReadWrite);
        _rings = new BlockRings.ClientEnd(_memory, what.Rings, _ownBell, _driverBell);
    }

    /// <returns>Why it has lost its disk.</returns>
    public string AwaitClosed()
    {
        using ChannelMessage message = Await(ClientMessage.Closed);
        return message.Text;
    }

    public void Dispose()
    {
        _control.Dispose();
        _memory.Dispose();
        _ownBell.Dispose();
        _driverBell.Dispose();
    }

    private ChannelMessage Await(ClientMessage type)
    {
        long start = Stopwatch.GetTimestamp();
        while (true)
        {
            ChannelMessage? message = _control.TryReceive();
            if (message?.Header.Type == (uint)type) return message;
            message?.Dispose();
            Assert.True(Stopwatch.GetElapsedTime(start) < Machine.Limit, $"{type} does not come");
            Descriptor.Poll(100, _control.Handle);
        }
    }
}
