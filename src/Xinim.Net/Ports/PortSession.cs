using Microsoft.Win32.SafeHandles;
using Xinim.Ipc.Channels;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Native;
using Xinim.Ipc.Protocols;

namespace Xinim.Net.Ports;

/// <summary>
/// What the ports of one NIC share, each a pair of its queues with a thread of its own: the connection to the daemon, pools, and word of the present driver.
/// Control path only, and the one place of a port's that has a lock.
/// </summary>
internal sealed class PortSession : IDisposable
{
    private readonly Lock _lock = new();
    private readonly DaemonConnection _control;
    private readonly SafeFileHandle _driverBell;
    private readonly SafeFileHandle[] _bells;
    private OpenedNetworkMessage _opened;
    private SafeFileHandle _rings;
    private LinkState _link;
    private string? _closed;
    private int _ports;

    /// <param name="control">Owned.</param>
    /// <param name="opened">The daemon's answer, whose handles are taken.</param>
    public PortSession(DaemonConnection control, ChannelMessage opened)
    {
        _control = control;
        _opened = opened.Get<OpenedNetworkMessage>();
        TxRegion = SharedRegion.Open(opened.TakeHandle(0), checked((long)_opened.TxPoolBytes), RegionAccess.ReadWrite);
        RxRegion = SharedRegion.Open(opened.TakeHandle(1), checked((long)_opened.RxPoolBytes), RegionAccess.ReadWrite);
        _rings = opened.TakeHandle(2);
        _driverBell = opened.TakeHandle(4);
        _bells = [opened.TakeHandle(3), .. Enumerable.Range(5, opened.HandleCount - 5).Select(opened.TakeHandle)];
        _ports = _bells.Length;
        _link = _opened.Info.Link;
    }

    /// <summary>Ports that share it.</summary>
    public int Ports => _bells.Length;

    public SharedRegion TxRegion { get; }

    public SharedRegion RxRegion { get; }

    /// <summary>Readable when the daemon has said something.</summary>
    public SafeFileHandle Handle => _control.Handle;

    /// <summary>Wakes a port.</summary>
    public SafeFileHandle BellOf(int pair) => _bells[pair];

    public LinkState Link
    {
        get
        {
            lock (_lock) return _link;
        }
    }

    /// <summary>The rings of the latest driver, mapped for one port; null where the port has them.</summary>
    /// <param name="generation">What the port has had last; 0 for nothing.</param>
    /// <param name="pair">Which port it is.</param>
    public PortRings? TryEnter(uint generation, int pair)
    {
        lock (_lock)
        {
            if (_opened.Rings.Generation == generation) return null;
            if (_opened.Rings.Pairs != _bells.Length) throw new NetworkPortException($"the daemon gave rings for {_opened.Rings.Pairs} pairs of queues, {_bells.Length} were asked for");
            SharedRegion memory = SharedRegion.Open(Descriptor.Duplicate(_rings), _opened.RingsBytes, RegionAccess.ReadWrite);
            return new PortRings(memory, new NetworkRings.ClientEnd(memory, _opened.Rings, _bells[pair], _driverBell, (uint)pair), _opened);
        }
    }

    /// <summary>Takes what the daemon has said.</summary>
    /// <exception cref="NetworkPortException">The device is gone for good, or the daemon.</exception>
    public void Listen()
    {
        lock (_lock)
        {
            if (_closed is not null) throw new NetworkPortException(_closed);
            bool heard = false;
            for (; _control.TryReceive() is { } message; heard = true) Note(message);
            if (heard) WakeOthers();
        }
    }

    public void Report(uint generation, string reason)
    {
        lock (_lock) _control.Tell(ClientMessage.ReportDriver, generation, reason);
    }

    /// <inheritdoc cref="DaemonConnection.Ask{T}"/>
    public ChannelMessage Ask<T>(ClientMessage question, in T payload, ClientMessage wanted)
        where T : unmanaged
    {
        lock (_lock)
        {
            ChannelMessage answer = _control.Ask(question, payload, wanted, Note);
            WakeOthers();
            return answer;
        }
    }

    /// <summary>A port is done with it; the last one ends it.</summary>
    public void Dispose()
    {
        lock (_lock)
        {
            if (--_ports != 0) return;
        }

        _control.Dispose();
        _rings.Dispose();
        TxRegion.Dispose();
        RxRegion.Dispose();
        _driverBell.Dispose();
        foreach (SafeFileHandle bell in _bells) bell.Dispose();
    }

    /// <summary>What one thread has taken from the connection wakes no other that sleeps on it.</summary>
    private void WakeOthers()
    {
        if (_bells.Length == 1) return;
        foreach (SafeFileHandle bell in _bells) Descriptor.Signal(bell);
    }

    private void Note(ChannelMessage message)
    {
        using ChannelMessage news = message;
        switch ((ClientMessage)news.Header.Type)
        {
            case ClientMessage.Reopened:
                // Of several generations that passed meanwhile the last one counts.
                _rings.Dispose();
                _rings = news.TakeHandle(0);
                _opened = news.Get<OpenedNetworkMessage>();
                _link = _opened.Info.Link;
                break;
            case ClientMessage.LinkChanged: _link = news.Get<LinkState>(); break;
            case ClientMessage.Closed:
                _closed = news.Text;
                WakeOthers();
                throw new NetworkPortException(_closed);
            default: throw new NetworkPortException($"the daemon sent message {news.Header.Type}, which is unknown here");
        }
    }
}

/// <summary>One port's view of a driver's life.</summary>
/// <param name="Memory">Of the rings, mapped for this port.</param>
/// <param name="What">As the daemon told it.</param>
internal sealed record PortRings(SharedRegion Memory, NetworkRings.ClientEnd End, OpenedNetworkMessage What);
