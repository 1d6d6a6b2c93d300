using System.Diagnostics;
using Microsoft.Win32.SafeHandles;
using Xinim.Drivers.Network;
using Xinim.Ipc;
using Xinim.Ipc.Channels;
using Xinim.Ipc.Events;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Protocols;
using Xinim.Ipc.Rings;
using Xinim.Ipc.Sandboxing;
using Xinim.Vfio;
using Xinim.Vfio.Dma;

namespace Xinim.Drivers.Hosting;

/// <summary>
/// The main loop of a NIC driver process: polls while there is work, arms interrupts and sleeps when there is none. One thread does
/// everything, so the driver needs no locks.
/// </summary>
internal sealed class NetworkLoop : IDriverLoop
{
    /// <summary>
    /// Empty polls before going to sleep after the client gave work: some 30 µs, as long as a wake-up with
    /// its interrupt takes, so that waiting never costs more than twice the best choice; counted in polls because a machine on which they are slow wakes up slowly too. After the device gave work the next empty poll ends it: interrupt moderation gathers frames better
    /// than a processor that looks for them one by one, and leaves that processor to the client.
    /// </summary>
    private const int IdlePolls = 1500;

    /// <summary>Idle polls between two offers of the processor to others.</summary>
    private const int PollsPerYield = 16;

    /// <summary>Busy polls between two looks at the control channel.</summary>
    private const int PollsPerLook = 64;
    private static readonly TimeSpan TimerPeriod = TimeSpan.FromSeconds(1);

    /// <summary>Frames that a device has not sent after this are the next driver's: their client still holds them.</summary>
    private static readonly TimeSpan DrainLimit = TimeSpan.FromSeconds(1);

    private readonly Channel _channel;
    private readonly uint _generation;
    private readonly INetworkDriver _driver;
    private readonly IDeviceInterrupts _interrupts;
    private readonly DmaRegion _work;
    private readonly Heart _heart;
    private readonly TransmitSampler _sampler;
    private readonly bool _spin;
    private readonly NetworkFilters _filters;
    private readonly EventLoop _loop = new();
    private Client? _client;
    private LinkState _reportedLink;
    private bool _armed;
    private bool _quiet;
    private bool _running = true;

    public NetworkLoop(LoopSetup setup, INetworkDriver driver)
    {
        _channel = setup.Channel;
        _generation = setup.Generation;
        _driver = driver;
        _interrupts = setup.Interrupts;
        _work = setup.Work;
        _heart = setup.Heart;
        _sampler = new TransmitSampler(setup.Heart.Signs);
        _spin = setup.Spin;
        _filters = setup.Filters;
    }

    public void Run(uint startRequest)
    {
        // One that cannot do what its predecessor did never becomes Ready.
        _driver.SetFilters(_filters);
        NetworkDeviceInfo info = _driver.Start();
        _reportedLink = info.Link;
        _loop.Watch(_channel.Handle, OnMessages);
        for (int vector = 0; vector < _interrupts.Count; vector++) WatchVector(vector);
        _loop.Every(TimerPeriod, OnTimer);
        // Wakes a sleeping loop; one that works beats at each look.
        _loop.Every(_heart.Period, _heart.Beat);
        // From here on nothing is opened any more.
        SelfRestraint.Tighten();
        _channel.Send(Header(ControlMessage.Ready, startRequest), info);
        int idle = 0;
        for (int polls = 0; _running; polls++)
        {
            idle = Poll() switch
            {
                Work.Client => 0,
                Work.Device => IdlePolls,
                _ => idle + 1,
            };
            if (idle > IdlePolls && !_spin) Sleep();
            // The client may wait for this very processor.
            else if (idle % PollsPerYield == PollsPerYield - 1) Thread.Yield();
            if (polls % PollsPerLook != 0) continue;
            _heart.Beat();
            _loop.RunOnce(TimeSpan.Zero);
        }

        _driver.Stop();
    }

    public void Dispose()
    {
        _client?.Dispose();
        _loop.Dispose();
        _driver.Dispose();
    }

    /// <summary>The data path: one pass over all four rings.</summary>
    private Work Poll()
    {
        if (_client is not { } client || _quiet) return Work.None;
        try
        {
            NetworkRings.DriverEnd rings = client.Rings;
            uint received = _driver.RxReturn(rings.Received);
            uint given = _driver.RxProvide(rings.Free);
            uint submitted = _driver.TxProvide(rings.Submit);
            _sampler.OnTaken(submitted);
            uint completed = _driver.TxReturn(rings.Completed);
            _sampler.OnReturned(completed);
            if ((received | completed) != 0) rings.Client.Ring();
            return (submitted | completed) != 0 ? Work.Client : (received | given) != 0 ? Work.Device : Work.None;
        }
        catch (RingException exception)
        {
            DropClient();
            _channel.SendText(Header(ControlMessage.ClientFault, 0), exception.Message);
            return Work.None;
        }
    }

    private void Sleep()
    {
        _client?.Rings.Own.PrepareToSleep();
        _driver.ArmInterrupts();
        _armed = true;
        // What came between the last poll and arming raised no wake-up: look once more.
        if (Poll() == Work.None) _loop.RunOnce(Timeout.InfiniteTimeSpan);
        _client?.Rings.Own.Awake();
        // Awake for another reason than an interrupt: while the loop polls, none is wanted.
        if (_armed) _driver.MaskInterrupts();
        _armed = false;
    }

    private void WatchVector(int vector) => _loop.Watch(_interrupts.EventOf(vector), () =>
    {
        _driver.OnInterrupt(vector);
        _interrupts.Acknowledge(vector);
        _armed = false;
        ReportLink();
    });

    private void OnTimer()
    {
        _driver.OnTimer();
        ReportLink();
    }

    private void ReportLink()
    {
        if (_driver.Link == _reportedLink) return;
        _reportedLink = _driver.Link;
        _channel.Send(Header(ControlMessage.LinkChanged, 0), _reportedLink);
    }

    private void OnMessages()
    {
        while (_running)
        {
            if (!_channel.TryReceive(out ChannelMessage? message))
            {
                // Without a supervisor nobody would make the device quiet later.
                _running = false;
                return;
            }

            if (message is null) return;
            using (message) Answer(message);
        }
    }

    private void Answer(ChannelMessage message)
    {
        uint request = message.Header.Request;
        if (message.Header.Generation != _generation) return;
        try
        {
            switch ((ControlMessage)message.Header.Type)
            {
                case ControlMessage.Attach: Attach(message); break;
                case ControlMessage.Detach: DropClient(); break;
                case ControlMessage.SetFilters: _driver.SetFilters(message.Get<NetworkFilters>()); break;
                case ControlMessage.Ping: break;
                case ControlMessage.Quiesce: Quiesce(); break;
                case ControlMessage.Stop: _running = false; break;
                case ControlMessage.GetStatistics:
                    _driver.OnTimer();
                    _channel.Send(Header(ControlMessage.Statistics, request), _driver.Statistics);
                    return;
                default: throw new ChannelException($"the supervisor sent message {message.Header.Type}, which is unknown here");
            }

            _channel.Send(Header(ControlMessage.Done, request));
        }
        catch (Exception exception) when (exception is ArgumentException or RingException or LinuxException)
        {
            _channel.SendText(Header(ControlMessage.Refused, request), exception.Message);
        }
    }

    private void Attach(ChannelMessage message)
    {
        if (_client is not null) throw new ArgumentException("a client is attached already");
        AttachMessage what = message.Get<AttachMessage>();
        if (what.Count > AttachMessage.MaxRegions) throw new ArgumentException($"{what.Count} grants; {AttachMessage.MaxRegions} are allowed");
        List<DmaRegion> regions = [];
        List<Grant> grants = [];
        for (int i = 0; i < what.Count; i++)
        {
            RegionMessage region = what.Regions[i];
            regions.Add(new DmaRegion(region.Id, new Iova(region.Iova), checked((long)region.Size), region.DeviceAccess));
            grants.Add(what.Grants[i]);
        }

        if (regions.Exists(region => region.Id == _work.Id)) throw new ArgumentException($"region {_work.Id} is the driver's own");
        BufferTable buffers = new(grants, regions);
        Client client = new(message, what, _loop);
        try
        {
            _driver.Attach(buffers);
        }
        catch
        {
            client.Dispose();
            throw;
        }

        _client = client;
    }

    /// <summary>Nothing more is taken; what was taken is finished and given back. The rings have room for all of it: nobody else fills them.</summary>
    private void Quiesce()
    {
        _quiet = true;
        _driver.StopReceiving();
        if (_client is not { } client) return;
        long start = Stopwatch.GetTimestamp();
        uint returned;
        do
        {
            returned = _driver.RxReturn(client.Rings.Received) + _driver.TxReturn(client.Rings.Completed);
            _heart.Beat();
            if (returned == 0) Thread.Yield();
        }
        while ((returned != 0 || _driver.TxBusy) && Stopwatch.GetElapsedTime(start) < DrainLimit);
        client.Rings.Client.Ring();
    }

    private void DropClient()
    {
        if (_client is not { } client) return;
        _client = null;
        _driver.Detach();
        _sampler.Forget();
        _armed = false;
        client.Dispose();
    }

    private MessageHeader Header(ControlMessage type, uint request) => new((uint)type, _generation, request);

    /// <summary>What a poll found, by who caused it.</summary>
    private enum Work
    {
        None,
        Device,
        Client,
    }

    /// <summary>What is held for an attached client.</summary>
    private sealed class Client : IDisposable
    {
        private readonly SharedRegion _memory;
        private readonly SafeFileHandle _own;
        private readonly SafeFileHandle _peer;
        private readonly IDisposable _watch;

        public Client(ChannelMessage message, in AttachMessage what, EventLoop loop)
        {
            _memory = SharedRegion.Open(message.TakeHandle(0), what.RingsBytes, RegionAccess.ReadWrite);
            _own = message.TakeHandle(1);
            _peer = message.TakeHandle(2);
            Rings = new NetworkRings.DriverEnd(_memory, what.Rings, _own, _peer);
            _watch = loop.Watch(_own, Rings.Own.TakeSignal);
        }

        public NetworkRings.DriverEnd Rings { get; }

        public void Dispose()
        {
            _watch.Dispose();
            _own.Dispose();
            _peer.Dispose();
            _memory.Dispose();
        }
    }
}
