using Microsoft.Win32.SafeHandles;
using Xinim.Drivers;
using Xinim.Ipc.Channels;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Native;
using Xinim.Ipc.Protocols;

namespace Xinim.TestKit.Block;

/// <summary>
/// A daemon with one disk, <c>disk0</c>, in the test's process: supervisor and driver on one thread, a client on another. The test kills
/// drivers, and makes them lie.
/// </summary>
public sealed class FakeDiskDaemon : IDisposable
{
    private readonly ChannelListener _listener;
    private readonly Thread _thread;
    private readonly SafeFileHandle _stop = Descriptor.CreateEvent();
    private readonly SafeFileHandle _driverBell = Descriptor.CreateEvent();
    private readonly SafeFileHandle _clientBell = Descriptor.CreateEvent();
    private readonly Lock _lock = new();
    private readonly List<Channel> _channels = [];
    private readonly List<SharedRegion> _memory = [];
    private readonly List<(uint Generation, string Reason)> _reports = [];
    private readonly List<string> _controls = [];
    private readonly GrantTable _grants = new();
    private readonly Grant _grant;
    private Channel? _holder;
    private SharedRegion? _region;
    private BlockRings.DriverEnd? _rings;
    private OpenedBlockMessage _opened;
    private volatile bool _running = true;
    private Exception? _failure;

    public FakeDiskDaemon(uint blocks = 16384, long poolBytes = 4 << 20)
    {
        Bench = new DiskBench(blocks, poolBytes);
        _grant = _grants.Create(Bench.Pool.Id, (ulong)Bench.Pool.Size, 0, (ulong)Bench.Pool.Size, RegionAccess.ReadWrite);
        Socket = Path.Combine(Path.GetTempPath(), $"xinim-test-{Environment.ProcessId}-{Guid.NewGuid():n}.sock");
        _listener = ChannelListener.Listen(Socket, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        _thread = new Thread(ServeOrFail) { IsBackground = true, Name = "fake disk daemon" };
        _thread.Start();
    }

    public string Socket { get; }

    public DiskBench Bench { get; }

    public DiskModel Disk => Bench.Model;

    public uint Generation { get; private set; }

    /// <summary>What each driver says instead of the truth, from the next driver on.</summary>
    public Func<BlockCompletion, IReadOnlyList<BlockCompletion>>? Lie { get; set; }

    /// <summary>A driver that its client reports is replaced at once.</summary>
    public bool ReplacesReported { get; set; } = true;

    /// <summary>The present driver takes nothing and answers nothing.</summary>
    public bool Sleeps { get; set; }

    /// <summary>Answer to GetStatus.</summary>
    public string StatusJson { get; set; } = "{}";

    /// <summary>What an operator wanted done, and was told that it is.</summary>
    public IReadOnlyList<string> Controls
    {
        get
        {
            lock (_lock) return [.. _controls];
        }
    }

    /// <summary>What the client reported of its drivers.</summary>
    public IReadOnlyList<(uint Generation, string Reason)> Reports
    {
        get
        {
            lock (_lock) return [.. _reports];
        }
    }

    /// <summary>Requests that the present driver refused.</summary>
    public ulong Rejected
    {
        get
        {
            lock (_lock) return Driver?.Statistics.Rejected ?? 0;
        }
    }

    /// <summary>Null between two drivers.</summary>
    public TestDiskDriver? Driver { get; private set; }

    /// <summary>The driver dies, whatever it holds, and its device is made quiet.</summary>
    public void Kill()
    {
        lock (_lock)
        {
            if (_region is null || Driver is null) return;
            Driver = null;
            _rings = null;
            Bench.Quieten();
            RingRegion.Close(_region);
            Descriptor.Signal(_clientBell);
        }
    }

    /// <summary>The next driver is ready.</summary>
    public void Revive()
    {
        lock (_lock)
        {
            if (_holder is null || Driver is not null) return;
            BringUp();
            _holder.Send(new MessageHeader((uint)ClientMessage.Reopened, Generation, 0), _opened, _region!.Handle);
        }
    }

    public void Replace()
    {
        Kill();
        Revive();
    }

    /// <summary>Tells the client of another size.</summary>
    public void Resize(uint blocks)
    {
        lock (_lock)
        {
            Disk.Capacity = blocks;
            Driver!.OnTimer();
            TellChange();
        }
    }

    /// <param name="type">How the client is told.</param>
    public void CloseDevice(string reason, ClientMessage type = ClientMessage.Closed)
    {
        lock (_lock) _holder!.SendText(new MessageHeader((uint)type, 0, 0), reason);
    }

    public void Dispose()
    {
        if (!_running) return;
        _running = false;
        Descriptor.Signal(_stop);
        _thread.Join();
        _listener.Dispose();
        foreach (Channel channel in _channels) channel.Dispose();
        foreach (SharedRegion region in _memory) region.Dispose();
        Bench.Dispose();
        _driverBell.Dispose();
        _clientBell.Dispose();
        _stop.Dispose();
        if (_failure is not null) throw new InvalidOperationException("the fake daemon failed", _failure);
    }

    private void ServeOrFail()
    {
        try
        {
            while (_running) Serve();
        }
        catch (Exception exception)
        {
            _failure = exception;
            foreach (Channel channel in _channels) channel.Dispose();
        }
    }

    private void Serve()
    {
        bool busy = false;
        lock (_lock)
        {
            foreach (Channel channel in _channels.ToArray()) Answer(channel);
            if (!Sleeps && _rings is { } rings && Driver is { } driver)
            {
                rings.Own.Awake();
                busy = driver.Submit(rings.Submitted) + driver.Complete(rings.Completed) != 0;
                if (busy) rings.Client.Ring();
                else rings.Own.PrepareToSleep();
            }
        }

        SafeFileHandle[] watched = [_stop, _listener.Handle, _driverBell, .. _channels.Select(channel => channel.Handle)];
        uint ready = Descriptor.Poll(busy ? 0 : 1, watched);
        if ((ready & 2) != 0 && _listener.Accept() is { } client) _channels.Add(client.Channel);
        if ((ready & 4) != 0) Descriptor.Drain(_driverBell);
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
            case ClientMessage.GetStatistics: channel.Send(new MessageHeader((uint)ClientMessage.Statistics, 0, request), Driver?.Statistics ?? default); break;
            case ClientMessage.Control:
                _controls.Add(message.Text);
                channel.Send(new MessageHeader((uint)ClientMessage.Done, 0, request));
                break;
            case ClientMessage.OpenBlock: Open(channel, message.Get<OpenBlockMessage>(), request); break;
            case ClientMessage.SetWriteCache:
                Driver!.SetWriteCache(message.Get<uint>() != 0);
                TellChange();
                channel.Send(new MessageHeader((uint)ClientMessage.Done, 0, request));
                break;
            case ClientMessage.ReportDriver:
                // Reports of former drivers are void.
                if (Driver is null || message.Header.Generation != Generation) break;
                _reports.Add((message.Header.Generation, message.Text));
                if (ReplacesReported) Replace();
                break;
        }
    }

    private void TellChange()
    {
        if (Driver!.TryTakeChange(out BlockDeviceInfo info)) _holder!.Send(new MessageHeader((uint)ClientMessage.BlockChanged, 0, 0), info);
    }

    private void Open(Channel channel, in OpenBlockMessage wish, uint request)
    {
        if (wish.Device.ToString() != "disk0" || (long)wish.PoolBytes > Bench.Pool.Size)
        {
            channel.SendText(new MessageHeader((uint)ClientMessage.Refused, 0, request), $"there is no device '{wish.Device}'; the daemon has disk0");
            return;
        }

        _holder = channel;
        _opened = new OpenedBlockMessage
        {
            Rings = new RingShape(wish.Submissions, wish.Completions, 0),
            PoolBytes = (ulong)Bench.Pool.Size,
            Grant = _grant.Handle,
        };
        BringUp();
        channel.Send(new MessageHeader((uint)ClientMessage.Opened, Generation, request), _opened, Bench.Pool.Memory!.Handle, _region!.Handle, _clientBell, _driverBell);
    }

    private void BringUp()
    {
        Generation++;
        Driver = new TestDiskDriver(Bench.Context()) { Lie = Lie };
        _opened.Info = Driver.Start();
        Driver.Attach(new BufferTable([_grant], [Bench.Pool]));
        _opened.Rings = _opened.Rings with { Generation = Generation };
        _region = BlockRings.Create(_opened.Rings);
        _memory.Add(_region);
        _opened.RingsBytes = (uint)_region.Size;
        _rings = new BlockRings.DriverEnd(_region, _opened.Rings, _driverBell, _clientBell);
    }
}
