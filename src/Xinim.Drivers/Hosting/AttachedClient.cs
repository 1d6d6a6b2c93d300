using Microsoft.Win32.SafeHandles;
using Xinim.Ipc.Channels;
using Xinim.Ipc.Events;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Protocols;

namespace Xinim.Drivers.Hosting;

/// <summary>What is held for an attached client: its rings, and the doorbell that the loop watches.</summary>
internal sealed class AttachedClient<TRings> : IDisposable
    where TRings : class, IDriverRings
{
    private readonly SharedRegion _memory;
    private readonly SafeFileHandle _own;
    private readonly SafeFileHandle[] _peers;
    private readonly IDisposable _watch;

    /// <param name="message">Attach, whose handles are taken.</param>
    /// <param name="open">Attaches to the rings: memory, shape, the driver's doorbell, the client's, as many as there are pairs of queues.</param>
    public AttachedClient(ChannelMessage message, in AttachMessage what, EventLoop loop, Func<SharedRegion, RingShape, SafeFileHandle, SafeFileHandle[], TRings> open)
    {
        _memory = SharedRegion.Open(message.TakeHandle(0), what.RingsBytes, RegionAccess.ReadWrite);
        _own = message.TakeHandle(1);
        _peers = [.. Enumerable.Range(2, message.HandleCount - 2).Select(message.TakeHandle)];
        Rings = open(_memory, what.Rings, _own, _peers);
        _watch = loop.Watch(_own, Rings.Own.TakeSignal);
    }

    public TRings Rings { get; }

    public void Dispose()
    {
        _watch.Dispose();
        _own.Dispose();
        foreach (SafeFileHandle peer in _peers) peer.Dispose();
        _memory.Dispose();
    }
}
