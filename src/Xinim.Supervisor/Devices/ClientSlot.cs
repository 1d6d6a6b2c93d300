using System.Diagnostics;
using Microsoft.Extensions.Logging;
using Microsoft.Win32.SafeHandles;
using Xinim.Ipc;
using Xinim.Ipc.Channels;
using Xinim.Ipc.Protocols;
using Xinim.Supervisor.Events;
using Xinim.Vfio;

namespace Xinim.Supervisor.Devices;

/// <summary>A client as its device sees it.</summary>
internal interface IDeviceClient
{
    /// <summary>Who it is, for messages.</summary>
    string Description { get; }

    /// <summary>The driver serves its rings: at first, and again for each later generation.</summary>
    /// <param name="opened">The class's struct as bytes.</param>
    void OnAttached(uint generation, byte[] opened, SafeFileHandle[] handles, bool first);

    /// <summary>Something that the class tells unasked.</summary>
    /// <param name="payload">The class's struct as bytes.</param>
    void OnNews(ClientMessage type, byte[] payload);

    /// <summary>It holds the device no longer.</summary>
    void OnClosed(string reason);
}

/// <summary>
/// The one client that a device has at a time: its memory, which outlives drivers, and what it is told of them; the sum of all drivers'
/// counters. A class of devices adds what its clients ask for and what its drivers say.
/// </summary>
internal abstract class ClientSlot : DeviceSlot
{
    private readonly ILogger _log;
    private IDeviceClient? _client;
    private ClientMemory? _memory;
    private ClientMemory? _releasing;
    private bool _announced;
    private long? _broken;
    private bool _attachSent;
    private (IDeviceClient Client, MemoryPlan Plan)? _next;

    /// <param name="counters">Names of the words of the class's statistics.</param>
    protected ClientSlot(ManagedDevice device, ILogger log, IReadOnlyList<string> counters)
        : base(device, counters)
    {
        _log = log;
    }

    public IDeviceClient? Holder => _client;

    public ClientMemory? Memory => _memory;

    public sealed override string? Occupants => _client?.Description;

    public sealed override IReadOnlyList<ClientPool> Pools => _memory?.Pools ?? [];

    public sealed override string? Open(IDeviceClient client, ChannelMessage message)
    {
        if (message.Header.Type != (uint)Device.Class.Open.Type) return $"{Device.Name} is a {Device.Class.Name} device, and not to be opened as another one";
        if (Plan(message, out MemoryPlan plan) is { } problem) return problem;
        if (Device.State is DeviceState.Failed or DeviceState.Gone) return $"{Device.Name} has no driver: {Device.LastFault}";
        if (Device.State == DeviceState.Stopped) return $"{Device.Name} is stopped; 'xinim start {Device.Name}' starts its driver";
        if (_client is not null || _next is not null) return $"{Device.Name} is in use by {(_client ?? _next?.Client)!.Description}; one client at a time";
        if (_releasing is not null)
        {
            // The former client's memory is still with the device; it comes back in a moment.
            _next = (client, plan);
            return null;
        }

        return Take(client, plan);
    }

    public sealed override void Release(IDeviceClient client)
    {
        if (_next?.Client == client) _next = null;
        if (_client != client) return;
        Device.Events.Add(EventKind.Closed, $"{client.Description} closed it");
        _client = null;
        _releasing = _memory;
        _memory = null;
        _releasing?.CloseRings();
        ForgetWishes();
        bool asked = _attachSent && Device.TryAsk(ControlMessage.Detach, OnDetached);
        // What this client moved since the last look counts, even if the driver dies next.
        Counters.Refresh(_ => { });
        // A starting driver has not heard of this client; a dead one's device becomes quiet before anything is freed.
        if (!asked && !_attachSent) FreeReleased();
        _attachSent = false;
    }

    /// <summary>A driver serves: it gets what the client has wished for, then the client.</summary>
    internal sealed override void OnReady()
    {
        Counters.Carry();
        RestoreWishes();
        if (_memory is not null) Attach();
    }

    internal sealed override bool BreaksAgain(TimeSpan memory)
    {
        bool again = _broken is { } before && Stopwatch.GetElapsedTime(before) < memory;
        _broken = Stopwatch.GetTimestamp();
        return again;
    }

    internal sealed override void OnDropped(string reason)
    {
        if (_client is not { } client) return;
        Device.Events.Add(EventKind.Closed, $"taken from {client.Description}: {reason}");
        _client = null;
        _attachSent = false;
        ForgetWishes();
        _memory?.CloseRings();
        Free(_memory);
        _memory = null;
        client.OnClosed(reason);
    }

    internal sealed override void StopIntake() => _memory?.CloseRings();

    internal sealed override void OnQuiet()
    {
        _attachSent = false;
        FreeReleased();
        Counters.AnswerCurious();
    }

    internal sealed override void CloseForGood(string reason)
    {
        if (_next is { } next) next.Client.OnClosed(reason);
        _next = null;
        OnDropped(reason);
    }

    public sealed override void Dispose()
    {
        Free(_releasing);
        Free(_memory);
        _releasing = _memory = null;
    }

    /// <summary>What a client asks for.</summary>
    /// <returns>What is wrong with it; null where nothing is.</returns>
    protected abstract string? Plan(ChannelMessage wish, out MemoryPlan plan);

    /// <summary>What the client is told of its memory and its device: the class's struct as bytes.</summary>
    protected abstract byte[] OpenedMessage(ClientMemory memory);

    /// <summary>A new driver is given what clients have set, before their first request.</summary>
    protected abstract void RestoreWishes();

    /// <summary>The client is gone: the next one starts with nothing of its predecessor's.</summary>
    protected abstract void ForgetWishes();

    private string? Take(IDeviceClient client, MemoryPlan plan)
    {
        try
        {
            _memory = new ClientMemory(Device.Backend, plan);
        }
        catch (Exception exception) when (exception is LinuxException or DeviceFaultException)
        {
            return exception.Message;
        }

        _client = client;
        Device.Events.Add(EventKind.Opened, $"opened by {client.Description}");
        _announced = false;
        _broken = null;
        if (Device.State == DeviceState.Ready) Attach();
        return null;
    }

    private void Attach()
    {
        ClientMemory memory = _memory!;
        try
        {
            memory.Renew(Device.Generation);
        }
        catch (LinuxException exception)
        {
            OnDropped(exception.Message);
            return;
        }

        (AttachMessage message, SafeFileHandle[] handles) = memory.ForDriver();
        _attachSent = Device.TryAsk(ControlMessage.Attach, message, handles, reply => OnAttachAnswer(memory, reply));
    }

    private void OnAttachAnswer(ClientMemory memory, ChannelMessage reply)
    {
        if (memory != _memory) return;
        if (reply.Header.Type != (uint)ControlMessage.Done)
        {
            _attachSent = false;
            OnDropped($"the driver refused the client's memory: {PeerText.OneLine(reply)}");
            return;
        }

        bool first = !_announced;
        _announced = true;
        _client!.OnAttached(memory.Shape.Generation, OpenedMessage(memory), memory.HandlesForClient(first), first);
    }

    private void OnDetached(ChannelMessage reply)
    {
        // A driver that does not give the memory up is ended: then the device is made quiet, and the memory freed, from outside.
        if (reply.Header.Type != (uint)ControlMessage.Done) throw new ChannelException($"it does not detach: {PeerText.OneLine(reply)}");
        FreeReleased();
    }

    /// <summary>A mapping that cannot be taken away stays until the device is closed; the memory is pinned for so long.</summary>
    private void Free(ClientMemory? memory)
    {
        try
        {
            memory?.Dispose();
        }
        catch (Exception exception) when (exception is LinuxException or DeviceFaultException)
        {
            _log.LogError("{Device}: a client's memory cannot be unmapped: {Reason}", Device.Name, exception.Message);
        }
    }

    private void FreeReleased()
    {
        Free(_releasing);
        _releasing = null;
        // Of a device that has disappeared the next client hears right after this.
        if (_next is not { } next || Device.State == DeviceState.Gone) return;
        _next = null;
        if (Take(next.Client, next.Plan) is { } problem) next.Client.OnClosed(problem);
    }
}
