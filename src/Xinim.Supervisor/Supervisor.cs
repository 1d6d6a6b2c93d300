using System.Diagnostics;
using System.Globalization;
using Microsoft.Extensions.Logging;
using Microsoft.Win32.SafeHandles;
using Xinim.Ipc;
using Xinim.Ipc.Channels;
using Xinim.Ipc.Events;
using Xinim.Ipc.Processes;
using Xinim.Ipc.Protocols;
using Xinim.Ipc.Sandboxing;
using Xinim.Supervisor.Clients;
using Xinim.Supervisor.Configuration;
using Xinim.Supervisor.Devices;
using Xinim.Supervisor.Events;
using Xinim.Supervisor.Manifests;
using Xinim.Supervisor.Status;
using Xinim.Vfio;

namespace Xinim.Supervisor;

/// <summary>
/// The daemon: read this first. It owns every device and every mapping, starts a process for each driver, gives devices to clients, and
/// brings drivers back. Everything runs on one thread, in the handlers of one event loop; a handler that throws ends one driver or
/// one client, never the daemon.
/// </summary>
public sealed class Supervisor : IDisposable
{
    /// <summary>Also the moment when a silent driver is noticed: it has to answer.</summary>
    private static readonly TimeSpan CounterPeriod = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan StopLimit = TimeSpan.FromSeconds(10);

    /// <summary>Connections at a time: clients must not use up the descriptors that drivers and devices need.</summary>
    private const int MaxClients = 128;

    private readonly EventLoop _loop = new();
    private readonly ILogger _log;
    private readonly EventLog _events;
    private readonly DaemonConfiguration _configuration;
    private readonly ManifestStore _manifests;
    private readonly ChannelListener _listener;
    private readonly List<ManagedDevice> _devices = [];
    private readonly Dictionary<ManagedDevice, IDisposable> _removals = [];
    private readonly List<ClientSession> _clients = [];
    private readonly long _started = Stopwatch.GetTimestamp();

    /// <summary>Listens, so that a second daemon is noticed before any device is touched.</summary>
    /// <exception cref="LinuxException">The socket cannot be used.</exception>
    public Supervisor(DaemonConfiguration configuration, ManifestStore manifests, ILogger log)
    {
        _configuration = configuration;
        _manifests = manifests;
        _log = log;
        _events = new EventLog(log);
        _listener = SocketSetup.Listen(configuration);
        // The socket is this daemon's now: what a former one left behind is nobody's.
        IReadOnlyList<int> orphans = ProcessNotes.EndAll(configuration.ProcessFolder());
        if (orphans.Count != 0) log.LogWarning("ended what a former daemon left running: process {Processes}", string.Join(", ", orphans));
        _loop.Watch(_listener.Handle, OnClient);
        _loop.Every(CounterPeriod, RefreshCounters);
    }

    /// <summary>Names of the devices, for messages.</summary>
    public string DeviceNames => _devices.Count == 0 ? "none" : string.Join(", ", _devices.Select(device => device.Name));

    /// <summary>The loop, for what the host wants to watch with it.</summary>
    public EventLoop Loop => _loop;

    /// <summary>Takes a device and starts its driver. Before <see cref="Run"/>, or on the loop's thread.</summary>
    /// <param name="backend">Owned from now on, also on failure.</param>
    /// <param name="wish">What the configuration says about it.</param>
    /// <exception cref="LinuxException">No driver is installed for it, or it cannot be set up.</exception>
    public void Add(IDeviceBackend backend, DeviceConfiguration wish)
    {
        try
        {
            DriverManifest manifest = wish.Driver is { } driver ? _manifests.ByName(driver)
                : _manifests.For(backend.Identity)
                ?? throw new LinuxException($"no driver is installed for {backend.Name} ({backend.Identity}); installed: {string.Join(", ", _manifests.Names)}");
            SafeFileHandle? removal = backend.RemovalRequested;
            LaunchRequest launch = LaunchOf(manifest, NameFor(wish, manifest), wish.Processors);
            DeviceSettings settings = new(wish.Poll, OptionText.From(wish.Options), manifest.Standby, wish.Restart ?? manifest.Restart);
            ManagedDevice device = new(_loop, _log, _events, backend, manifest, launch, launch.Arguments[0], settings);
            _devices.Add(device);
            device.Events.Add(EventKind.Attached, $"{backend.Name} ({backend.Identity}) goes to driver {manifest.Name}");
            if (removal is not null) _removals.Add(device, _loop.Watch(removal, () => Detach(device, "it was unbound or unplugged")));
            device.Start();
        }
        catch
        {
            backend.Dispose();
            throw;
        }
    }

    /// <summary>A device has disappeared from under its driver. It stays in the list, with what was counted.</summary>
    public void Disappear(IDeviceBackend backend, string reason) => _devices.Find(device => device.Backend == backend)?.Disappear(reason);

    /// <summary>True where a device of this name or address is in the list.</summary>
    public bool Has(string name) => Find(name) is not null;

    /// <summary>A device was pulled: its driver ends, its clients are told, and it leaves the list. On the loop's thread.</summary>
    /// <param name="name">Name or address; nothing happens where there is no such device.</param>
    public void Remove(string name, string reason)
    {
        if (Find(name) is { } device) Detach(device, reason);
    }

    /// <summary>Serves until <see cref="Stop"/>.</summary>
    public void Run() => _loop.Run();

    /// <summary>From any thread: drivers end, devices become quiet, then <see cref="Run"/> returns.</summary>
    public void Stop() => _loop.Post(() =>
    {
        int running = _devices.Count;
        if (running == 0) _loop.Stop();
        foreach (ManagedDevice device in _devices)
            device.Stop(() => { if (--running == 0) _loop.Stop(); });
        _loop.After(StopLimit, _loop.Stop);
    });

    public void Dispose()
    {
        foreach (ClientSession client in _clients.ToArray()) client.Dispose();
        foreach (ManagedDevice device in _devices) device.Dispose();
        _devices.Clear();
        _listener.Dispose();
        _loop.Dispose();
    }

    /// <summary>By name, by address, or by address without domain.</summary>
    internal ManagedDevice? Find(string name)
        => _devices.Find(device => device.Name == name || device.Backend.Name == name || device.Backend.Name == $"0000:{name}");

    /// <summary>As <see cref="Find"/>, and by the name of a part: that of its device, a dot and a number.</summary>
    /// <param name="port">The number; null where the device itself was named.</param>
    internal ManagedDevice? Resolve(string name, out uint? port)
    {
        port = null;
        if (Find(name) is { } device) return device;
        int dot = name.LastIndexOf('.');
        if (dot < 0 || !uint.TryParse(name.AsSpan(dot + 1), NumberStyles.None, CultureInfo.InvariantCulture, out uint number)) return null;
        port = number;
        return Find(name[..dot]) is { Client.HasPorts: true } owner ? owner : null;
    }

    /// <summary>The state of everything; counters are at most <see cref="CounterPeriod"/> old.</summary>
    internal StatusReport Report()
        => new(Environment.ProcessId, Math.Round(Stopwatch.GetElapsedTime(_started).TotalSeconds, 1), [.. _devices.Select(StatusReporter.Describe)]);

    /// <summary>What has happened since an event.</summary>
    internal EventPage EventsAfter(ulong number) => _events.After(number);

    internal void Forget(ClientSession client) => _clients.Remove(client);

    /// <summary>Somebody wants the device back, or has taken it: the driver finishes if it can, and everything of the device is given up.</summary>
    private void Detach(ManagedDevice device, string reason)
    {
        // The request stays readable, and is made again, until the device is closed.
        if (!_removals.Remove(device, out IDisposable? watch)) return;
        watch.Dispose();
        device.Events.Add(EventKind.Detaching, reason);
        device.Stop(() =>
        {
            device.Client.CloseForGood(reason);
            _devices.Remove(device);
            device.Dispose();
            device.Events.Add(EventKind.Detached, $"{device.Backend.Name} is given up");
        });
    }

    /// <summary>The wished name, or the first of net0, net1 and so on that is free; each class has its own.</summary>
    private string NameFor(DeviceConfiguration wish, DriverManifest manifest)
    {
        bool IsTaken(string name) => _devices.Exists(device => device.Name == name);
        if (wish.Name is { } wanted) return IsTaken(wanted) ? throw new LinuxException($"the name '{wanted}' of {wish.Device} is another device's; choose another 'name'") : wanted;
        return Enumerable.Range(0, _devices.Count + 1).Select(number => $"{manifest.Prefix ?? DeviceClass.Find(manifest.Class)!.Prefix}{number}").First(name => !IsTaken(name));
    }

    /// <summary>How a driver's process is made, but for its descriptors.</summary>
    private LaunchRequest LaunchOf(DriverManifest manifest, string name, IReadOnlyList<int> processors)
    {
        string executable = _manifests.ExecutableOf(manifest);
        uint? user = Environment.IsPrivilegedProcess ? FreeUser() : null;
        LaunchRequest launch = new() { Executable = executable, Arguments = [name], User = user, Processors = processors, Notes = _configuration.ProcessFolder() };
        if (!_configuration.Sandbox)
        {
            _log.LogWarning("{Device}: NO SANDBOX: its driver sees the files, the network and the processes of this machine", name);
            return launch;
        }

        Sandbox sandbox = new(executable, user);
        if (sandbox.Weakness is { } weakness) _log.LogWarning("{Device}: {Weakness}", name, weakness);
        return launch with { Sandbox = sandbox, Limits = manifest.Limits.For(user, manifest.DmaBytes) };
    }

    /// <summary>No two drivers share a user, also after some have left.</summary>
    private uint FreeUser()
    {
        uint user = _configuration.DriverUserBase;
        while (_devices.Exists(device => device.Launch.User == user)) user++;
        return user;
    }

    private void OnClient()
    {
        if (_listener.Accept() is not { } accepted) return;
        if (_clients.Count >= MaxClients)
        {
            _log.LogWarning("process {Pid} of user {User} turned away: {Count} clients are connected", accepted.Peer.Pid, accepted.Peer.Uid, MaxClients);
            accepted.Channel.Dispose();
            return;
        }

        _clients.Add(new ClientSession(_loop, this, accepted.Channel, accepted.Peer, _log));
    }

    private void RefreshCounters()
    {
        foreach (ManagedDevice device in _devices) device.Client.Counters.Refresh(_ => { });
    }
}
