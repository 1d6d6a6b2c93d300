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
    /// <param name="type">How it is told.</param>
    void OnClosed(string reason, ClientMessage type = ClientMessage.Closed);
}

/// <summary>
/// The one client that a unit of a device has at a time: its memory, which outlives drivers, and what it is told of them. A class of devices adds
/// what its clients ask for.
/// </summary>
/// <param name="unit">What drivers call it by.</param>
/// <param name="port">What people call it by; null where the device is one unit.</param>
internal abstract class ClientSlot(ManagedDevice device, ILogger log, uint unit, uint? port) : IDisposable
{
    private IDeviceClient? _client;
    private ClientMemory? _memory;
    private ClientMemory? _releasing;
    private bool _announced;
    private long? _broken;
    private bool _attachSent;
    private (IDeviceClient Client, MemoryPlan Plan)? _next;

    /// <summary>The device's, with the number of the port.</summary>
    public string Name { get; } = port is { } number ? $"{device.Name}.{number}" : device.Name;

    public IDeviceClient? Holder => _client;

    public ClientMemory? Memory => _memory;

    /// <summary>Why nobody can have it; null where somebody can.</summary>
    protected virtual string? Problem => null;

    /// <summary>A sentence about the unit, where the device is named already.</summary>
    public string Label(string text) => port is { } number ? $"port {number}: {text}" : text;

    /// <inheritdoc cref="DeviceSlot.Open"/>
    public string? Open(IDeviceClient client, MemoryPlan plan)
    {
        if (Problem is { } problem) return problem;
        if (_client is not null || _next is not null) return $"{Name} is in use by {(_client ?? _next?.Client)!.Description}; one client at a time";
        if (_releasing is not null)
        {
            // The former client's memory is still with the device; it comes back in a moment.
            _next = (client, plan);
            return null;
        }

        return Take(client, plan);
    }

    /// <summary>Does nothing where this client has it not.</summary>
    public void Release(IDeviceClient client)
    {
        if (_next?.Client == client) _next = null;
        if (_client != client) return;
        Add(EventKind.Closed, $"{client.Description} closed it");
        LetGo();
    }

    /// <summary>A driver serves: it gets what the client has wished for, then the client.</summary>
    public virtual void OnReady()
    {
        RestoreWishes();
        if (_memory is not null) Attach();
    }

    /// <inheritdoc cref="DeviceSlot.BreaksAgain"/>
    public bool BreaksAgain(TimeSpan memory)
    {
        bool again = _broken is { } before && Stopwatch.GetElapsedTime(before) < memory;
        _broken = Stopwatch.GetTimestamp();
        return again;
    }

    /// <inheritdoc cref="DeviceSlot.OnDropped"/>
    public void OnDropped(string reason)
    {
        if (_client is not { } client) return;
        Add(EventKind.Closed, $"taken from {client.Description}: {reason}");
        _client = null;
        _attachSent = false;
        ForgetWishes();
        _memory?.CloseRings();
        Free(_memory);
        _memory = null;
        client.OnClosed(reason);
    }

    public void StopIntake() => _memory?.CloseRings();

    public void OnQuiet()
    {
        _attachSent = false;
        FreeReleased();
    }

    public void CloseForGood(string reason)
    {
        if (_next is { } next) next.Client.OnClosed(reason);
        _next = null;
        OnDropped(reason);
    }

    public void Dispose()
    {
        Free(_releasing);
        Free(_memory);
        _releasing = _memory = null;
    }

    /// <summary>Takes the unit from its client while the driver serves it, or before.</summary>
    protected void Evict(string reason, ClientMessage type)
    {
        if (_client is not { } client) return;
        Add(EventKind.Closed, $"taken from {client.Description}: {reason}");
        LetGo();
        client.OnClosed(reason, type);
    }

    /// <summary>What the client is told of its memory and its device: the class's struct as bytes.</summary>
    protected abstract byte[] OpenedMessage(ClientMemory memory);

    /// <summary>A new driver is given what clients have set, before their first request.</summary>
    protected abstract void RestoreWishes();

    /// <summary>The client is gone: the next one starts with nothing of its predecessor's.</summary>
    protected abstract void ForgetWishes();

    /// <summary>Asks the driver something about this unit.</summary>
    /// <inheritdoc cref="ManagedDevice.TryAsk{T}"/>
    protected bool TryAsk<T>(ControlMessage type, in T payload, Action<ChannelMessage> onAnswer)
        where T : unmanaged
        => device.TryAsk(type, payload, default, onAnswer, unit);

    /// <summary>Something has happened to the unit.</summary>
    protected void Add(EventKind kind, string text) => device.Events.Add(kind, Label(text));

    /// <summary>The client has it no longer. Its memory goes when the driver has given it up, or the device is quiet.</summary>
    private void LetGo()
    {
        _client = null;
        _releasing = _memory;
        _memory = null;
        _releasing?.CloseRings();
        ForgetWishes();
        bool asked = _attachSent && device.TryAsk(ControlMessage.Detach, OnDetached, unit);
        // What this client moved since the last look counts, even if the driver dies next.
        device.Client.Counters.Refresh(_ => { });
        // A starting driver has not heard of this client; a dead one's device becomes quiet before anything is freed.
        if (!asked && !_attachSent) FreeReleased();
        _attachSent = false;
    }

    private string? Take(IDeviceClient client, MemoryPlan plan)
    {
        try
        {
            _memory = new ClientMemory(device.Backend, plan);
        }
        catch (Exception exception) when (exception is LinuxException or DeviceFaultException)
        {
            return exception.Message;
        }

        _client = client;
        Add(EventKind.Opened, $"opened by {client.Description}");
        _announced = false;
        _broken = null;
        if (device.State == DeviceState.Ready) Attach();
        return null;
    }

    private void Attach()
    {
        ClientMemory memory = _memory!;
        try
        {
            memory.Renew(device.Generation);
        }
        catch (LinuxException exception)
        {
            OnDropped(exception.Message);
            return;
        }

        (AttachMessage message, SafeFileHandle[] handles) = memory.ForDriver();
        _attachSent = device.TryAsk(ControlMessage.Attach, message, handles, reply => OnAttachAnswer(memory, reply), unit);
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
            log.LogError("{Device}: a client's memory cannot be unmapped: {Reason}", Name, exception.Message);
        }
    }

    private void FreeReleased()
    {
        Free(_releasing);
        _releasing = null;
        // Of a device that has disappeared the next client hears right after this.
        if (_next is not { } next || device.State == DeviceState.Gone) return;
        _next = null;
        if ((Problem ?? Take(next.Client, next.Plan)) is { } problem) next.Client.OnClosed(problem);
    }
}
