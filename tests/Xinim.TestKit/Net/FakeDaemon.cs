using Microsoft.Win32.SafeHandles;
using Xinim.Ipc.Channels;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Native;
using Xinim.Ipc.Protocols;

namespace Xinim.TestKit.Net;

/// <summary>
/// A daemon with one NIC, <c>net0</c>, in the test's process: it answers on its own thread, and its driver is played by the test, or by a
/// <see cref="Wire"/> on the daemon's thread.
/// </summary>
public sealed class FakeDaemon : IDisposable
{
    /// <summary>Handle of the grant of every transmit pool.</summary>
    public const uint TxGrant = 0x10000;

    private readonly ChannelListener _listener;
    private readonly Thread _thread;
    private readonly SafeFileHandle _stop = Descriptor.CreateEvent();
    private readonly SafeFileHandle _driverBell = Descriptor.CreateEvent();
    private readonly SafeFileHandle[] _clientBells = [.. Enumerable.Range(0, (int)NetworkRings.MaxPairs).Select(_ => Descriptor.CreateEvent())];
    private readonly List<SharedRegion> _memory = [];
    private readonly Lock _lock = new();
    private readonly List<Channel> _channels = [];
    private readonly List<(uint Generation, string Reason)> _reports = [];
    private readonly List<string> _controls = [];
    private Channel? _holder;
    private SharedRegion? _tx;
    private SharedRegion? _rx;
    private OpenedNetworkMessage _opened;
    private volatile bool _running = true;
    private Exception? _failure;

    public FakeDaemon(Wire? wire = null)
    {
        Wire = wire;
        Socket = Path.Combine(Path.GetTempPath(), $"xinim-test-{Environment.ProcessId}-{Guid.NewGuid():n}.sock");
        _listener = ChannelListener.Listen(Socket, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        _thread = new Thread(ServeOrFail) { IsBackground = true, Name = "fake daemon" };
        _thread.Start();
    }

    public string Socket { get; }

    /// <summary>What is behind the NIC; null where the test plays the driver.</summary>
    public Wire? Wire { get; }

    /// <summary>What the present driver says, and after a change the next one.</summary>
    public NetworkDeviceInfo Info { get; set; } = new()
    {
        Mac = MacAddress.From([0x52, 0x54, 0, 0, 0, 1]),
        MaxFrame = 16110,
        RxBufferBytes = 2048,
        TxDescriptors = 256,
        RxDescriptors = 256,
        Link = new LinkState(1, 1000, 1),
    };

    public NetworkStatistics Statistics { get; set; }

    /// <summary>Answer to GetStatus.</summary>
    public string StatusJson { get; set; } = "{}";

    /// <summary>Answer to GetEvents after a number.</summary>
    public Func<ulong, string> EventsJson { get; set; } = _ => """{ "first": 0, "last": 0, "events": [] }""";

    /// <summary>What was asked by Control: verb, device and argument.</summary>
    public IReadOnlyList<string> Controls
    {
        get
        {
            lock (_lock) return [.. _controls];
        }
    }

    /// <summary>Refuses every Control with this reason.</summary>
    public string? ControlRefusal { get; set; }

    /// <summary>Refuses every device with this reason.</summary>
    public string? Refusal { get; set; }

    /// <summary>Sends news of the link before it answers an Open.</summary>
    public bool LinkNewsFirst { get; set; }

    /// <summary>As last set by the client.</summary>
    public NetworkFilters? Filters { get; private set; }

    /// <summary>What the client asked for when it opened the NIC.</summary>
    public NetworkWishes Wishes { get; private set; }

    /// <summary>What the client reported of its driver, with the generation that it meant.</summary>
    public IReadOnlyList<(uint Generation, string Reason)> DriverReports
    {
        get
        {
            lock (_lock) return [.. _reports];
        }
    }

    /// <summary>The driver's present life, one for each pair of queues.</summary>
    public IReadOnlyList<FakeNic> Nics { get; private set; } = [];

    /// <summary>The first pair.</summary>
    public FakeNic Nic => Nics[0];

    public uint Generation { get; private set; }

    /// <summary>The driver has died: its rings are closed, and nobody serves.</summary>
    public void Kill()
    {
        lock (_lock)
        {
            Nic.Close();
            foreach (SafeFileHandle bell in _clientBells) Descriptor.Signal(bell);
        }
    }

    /// <summary>The next driver is ready.</summary>
    public void Revive()
    {
        lock (_lock)
        {
            SharedRegion rings = NewRings();
            _holder!.Send(new MessageHeader((uint)ClientMessage.Reopened, Generation, 0), _opened, rings.Handle);
        }
    }

    public void SendLink(LinkState link)
    {
        lock (_lock) _holder!.Send(new MessageHeader((uint)ClientMessage.LinkChanged, 0, 0), link);
    }

    public void CloseDevice(string reason)
    {
        lock (_lock) _holder!.SendText(new MessageHeader((uint)ClientMessage.Closed, 0, 0), reason);
    }

    /// <summary>Ends without a word, as a killed daemon does.</summary>
    public void Dispose()
    {
        if (!_running) return;
        _running = false;
        Descriptor.Signal(_stop);
        _thread.Join();
        _listener.Dispose();
        foreach (Channel channel in _channels) channel.Dispose();
        foreach (SharedRegion region in _memory) region.Dispose();
        _tx?.Dispose();
        _rx?.Dispose();
        _driverBell.Dispose();
        foreach (SafeFileHandle bell in _clientBells) bell.Dispose();
        _stop.Dispose();
        if (_failure is not null) throw new InvalidOperationException("the fake daemon failed", _failure);
    }

    /// <summary>A wire that throws ends the daemon, so its client hears of it, and then the test.</summary>
    private void ServeOrFail()
    {
        try
        {
            Serve();
        }
        catch (Exception exception)
        {
            _failure = exception;
            foreach (Channel channel in _channels) channel.Dispose();
        }
    }

    private void Serve()
    {
        while (_running)
        {
            lock (_lock)
            {
                foreach (Channel channel in _channels.ToArray()) Answer(channel);
                if (Wire is not null && _holder is not null) Drive(Wire);
            }

            SafeFileHandle[] watched = [_stop, _listener.Handle, _driverBell, .. _channels.Select(channel => channel.Handle)];
            uint ready = Descriptor.Poll(Wire is null ? 1000 : 1, watched);
            if ((ready & 2) != 0 && _listener.Accept() is { } client) _channels.Add(client.Channel);
            if ((ready & 4) != 0) Descriptor.Drain(_driverBell);
        }
    }

    private void Drive(Wire wire)
    {
        // One word for all pairs.
        Nic.Rings.Own.Awake();
        bool moved;
        do
        {
            moved = false;
            foreach (FakeNic nic in Nics) moved |= nic.Take() | wire.Poll(nic);
        }
        while (moved);

        Nic.Rings.Own.PrepareToSleep();
        foreach (FakeNic nic in Nics)
        {
            if (nic.Take()) wire.Poll(nic);
        }
    }

    private void Answer(Channel channel)
    {
        while (channel.TryReceive(out ChannelMessage? message))
        {
            if (message is null) return;
            using (message) Answer(channel, message);
        }

        channel.Dispose();
        _channels.Remove(channel);
        if (_holder == channel) _holder = null;
    }

    private void Answer(Channel channel, ChannelMessage message)
    {
        uint request = message.Header.Request;
        switch ((ClientMessage)message.Header.Type)
        {
            case ClientMessage.GetStatus: channel.SendText(new MessageHeader((uint)ClientMessage.Report, 0, request), StatusJson); break;
            case ClientMessage.GetStatistics: channel.Send(new MessageHeader((uint)ClientMessage.Statistics, 0, request), Statistics); break;
            case ClientMessage.ReportDriver: _reports.Add((message.Header.Generation, message.Text)); break;
            case ClientMessage.GetEvents: channel.SendText(new MessageHeader((uint)ClientMessage.Events, 0, request), EventsJson(message.Get<ulong>())); break;
            case ClientMessage.Control:
                _controls.Add(message.Text.Replace('\0', ' '));
                if (ControlRefusal is { } refusal) channel.SendText(new MessageHeader((uint)ClientMessage.Refused, 0, request), refusal);
                else channel.Send(new MessageHeader((uint)ClientMessage.Done, 0, request));
                break;
            case ClientMessage.OpenNetwork: Open(channel, message.Get<OpenNetworkMessage>(), request); break;
            case ClientMessage.SetFilters:
                Filters = message.Get<NetworkFilters>();
                channel.Send(new MessageHeader((uint)ClientMessage.Done, 0, request));
                break;
        }
    }

    private void Open(Channel channel, in OpenNetworkMessage wish, uint request)
    {
        string? reason = Refusal ?? (wish.Device.ToString() != "net0" ? $"there is no device '{wish.Device}'; the daemon has net0" : null);
        if (reason is not null)
        {
            channel.SendText(new MessageHeader((uint)ClientMessage.Refused, 0, request), reason);
            return;
        }

        _holder = channel;
        Wishes = wish.Wishes;
        _tx = SharedRegion.Create("fake-tx", (long)wish.TxPoolBytes, PageChoice.Ordinary);
        _rx = SharedRegion.Create("fake-rx", (long)wish.RxPoolBytes, PageChoice.Ordinary);
        _opened = new OpenedNetworkMessage
        {
            Rings = new RingShape(wish.TxCapacity, wish.RxCapacity, 0, wish.Pairs),
            TxPoolBytes = (ulong)_tx.Size,
            RxPoolBytes = (ulong)_rx.Size,
            TxGrant = TxGrant,
            RxGrant = 0x10001,
            Info = Info,
        };
        SharedRegion rings = NewRings();
        if (LinkNewsFirst) channel.Send(new MessageHeader((uint)ClientMessage.LinkChanged, 0, 0), Info.Link);
        channel.Send(new MessageHeader((uint)ClientMessage.Opened, Generation, request), _opened, [_tx.Handle, _rx.Handle, rings.Handle, _clientBells[0], _driverBell, .. _clientBells[1..(int)wish.Pairs]]);
    }

    private SharedRegion NewRings()
    {
        Generation++;
        _opened.Rings = _opened.Rings with { Generation = Generation };
        SharedRegion rings = NetworkRings.Create(_opened.Rings);
        _memory.Add(rings);
        _opened.RingsBytes = (uint)rings.Size;
        _opened.Info = Info;
        Nics = [.. Enumerable.Range(0, (int)_opened.Rings.Pairs).Select(pair => new FakeNic(rings, _opened.Rings, _driverBell, _clientBells[pair], _tx!, _rx!, (uint)pair))];
        return rings;
    }
}
