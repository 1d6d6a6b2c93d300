using System.Diagnostics;
using System.Runtime.InteropServices;
using Microsoft.Extensions.Logging;
using Microsoft.Win32.SafeHandles;
using Xinim.Ipc;
using Xinim.Ipc.Channels;
using Xinim.Ipc.Protocols;
using Xinim.Supervisor.Events;
using Xinim.Vfio;

namespace Xinim.Supervisor.Devices;

/// <summary>A client as its device sees it.</summary>
internal interface INetworkClient
{
    /// <summary>Who it is, for messages.</summary>
    string Description { get; }

    /// <summary>The driver serves its rings: at first, and again for each later generation.</summary>
    void OnAttached(in OpenedNetworkMessage message, ReadOnlySpan<SafeFileHandle> handles, bool first);

    void OnLinkChanged(LinkState link);

    /// <summary>It holds the device no longer.</summary>
    void OnClosed(string reason);
}

/// <summary>
/// The one client that a device has at a time: its memory, which outlives drivers; its filters, which a new driver is started with; the sum of all
/// drivers' counters.
/// </summary>
internal sealed class NetworkClientSlot(ManagedDevice device, ILogger log) : IDisposable
{
    /// <summary>Questions for counters that wait for the driver; those beyond are answered with what is known.</summary>
    private const int MaxCurious = 64;

    private INetworkClient? _client;
    private ClientMemory? _memory;
    private ClientMemory? _releasing;
    private bool _announced;
    private long? _broken;
    private bool _attachSent;
    private NetworkFilters? _filters;

    /// <summary>The driver is being started with filters that are forgotten meanwhile.</summary>
    private bool _stale;
    private FilterWish? _wanted;
    private readonly Queue<Action<NetworkStatistics>> _curious = [];
    private NetworkStatistics _carried;
    private NetworkStatistics _current;
    private (INetworkClient Client, OpenNetworkMessage Wish)? _next;

    public INetworkClient? Holder => _client;

    public ClientMemory? Memory => _memory;

    /// <summary>Counters of all drivers of this device, as last asked.</summary>
    public NetworkStatistics Statistics => Sum(_carried, _current);

    /// <summary>When they were asked, a timestamp of <see cref="Stopwatch"/>.</summary>
    public long StatisticsTime { get; private set; }

    /// <summary>Gives the device to a client, which hears of it by <see cref="INetworkClient.OnAttached"/> or <see cref="INetworkClient.OnClosed"/>.</summary>
    /// <returns>Why not; null where it is on its way.</returns>
    public string? Open(INetworkClient client, in OpenNetworkMessage wish)
    {
        if (ClientMemory.Problem(wish) is { } problem) return problem;
        if (device.State is DeviceState.Failed or DeviceState.Gone) return $"{device.Name} has no driver: {device.LastFault}";
        if (device.State == DeviceState.Stopped) return $"{device.Name} is stopped; 'xinim start {device.Name}' starts its driver";
        if (_client is not null || _next is not null) return $"{device.Name} is in use by {(_client ?? _next?.Client)!.Description}; one client at a time";
        if (_releasing is not null)
        {
            // The former client's memory is still with the device; it comes back in a moment.
            _next = (client, wish);
            return null;
        }

        return Take(client, wish);
    }

    /// <summary>Takes the device back from a client, whatever state it is in.</summary>
    public void Release(INetworkClient client)
    {
        if (_next?.Client == client) _next = null;
        if (_client != client) return;
        device.Events.Add(EventKind.Closed, $"{client.Description} closed it");
        _client = null;
        _releasing = _memory;
        _memory = null;
        _releasing?.CloseRings();
        ForgetFilters();
        bool asked = _attachSent && device.TryAsk(ControlMessage.Detach, OnDetached);
        // What this client moved since the last look counts, even if the driver dies next.
        Refresh(_ => { });
        // A starting driver has not heard of this client; a dead one's device becomes quiet before anything is freed.
        if (!asked && !_attachSent) FreeReleased();
        _attachSent = false;
    }

    /// <summary>Sets all filters, now and for every later driver. A driver that dies over it leaves it to the next one.</summary>
    /// <param name="answer">Gets the reason where the driver refused; null where it is done.</param>
    public void SetFilters(in NetworkFilters filters, Action<string?> answer)
    {
        if (_wanted is not null)
        {
            answer("filters are being set already; wait for the answer");
            return;
        }

        _wanted = new FilterWish(filters, answer);
        AskFilters();
    }

    /// <summary>Asks the driver for its counters; answers with what is known where none is ready, or it dies over it.</summary>
    public void Refresh(Action<NetworkStatistics> answer)
    {
        if (_curious.Count >= MaxCurious)
        {
            answer(Statistics);
            return;
        }

        _curious.Enqueue(answer);
        // One question at a time, however many want to know: a client must not be able to fill the driver's channel.
        if (_curious.Count == 1 && !device.TryAsk(ControlMessage.GetStatistics, OnStatistics)) AnswerCurious();
    }

    /// <summary>A driver is about to be started.</summary>
    /// <returns>The filters that it starts with.</returns>
    internal NetworkFilters OnStarting()
    {
        _stale = false;
        return _filters ?? default;
    }

    internal void OnReady()
    {
        _carried = Sum(_carried, _current);
        _current = default;
        if (_stale) AskForNone();
        AskFilters();
        if (_memory is not null) Attach();
    }

    internal void OnLinkChanged(LinkState link) => _client?.OnLinkChanged(link);

    /// <summary>Its rings are found broken.</summary>
    /// <param name="memory">How long a first time is remembered.</param>
    /// <returns>True where that is not the first time: then it was not the driver of then.</returns>
    internal bool BreaksAgain(TimeSpan memory)
    {
        bool again = _broken is { } before && Stopwatch.GetElapsedTime(before) < memory;
        _broken = Stopwatch.GetTimestamp();
        return again;
    }

    /// <summary>The driver gave the client's buffers up because of what the client wrote.</summary>
    internal void OnDropped(string reason)
    {
        if (_client is not { } client) return;
        device.Events.Add(EventKind.Closed, $"taken from {client.Description}: {reason}");
        _client = null;
        _attachSent = false;
        ForgetFilters();
        _memory?.CloseRings();
        Free(_memory);
        _memory = null;
        client.OnClosed(reason);
    }

    internal void StopIntake() => _memory?.CloseRings();

    /// <summary>The device is quiet: what clients gave up while it was not can go.</summary>
    internal void OnQuiet()
    {
        _attachSent = false;
        FreeReleased();
        AnswerCurious();
    }

    internal void CloseForGood(string reason)
    {
        if (_next is { } next) next.Client.OnClosed(reason);
        _next = null;
        OnDropped(reason);
    }

    /// <summary>Frees all memory. Only when the device is quiet.</summary>
    public void Dispose()
    {
        Free(_releasing);
        Free(_memory);
        _releasing = _memory = null;
    }

    private string? Take(INetworkClient client, in OpenNetworkMessage wish)
    {
        try
        {
            _memory = new ClientMemory(device.Backend, wish);
        }
        catch (Exception exception) when (exception is LinuxException or DeviceFaultException)
        {
            return exception.Message;
        }

        _client = client;
        device.Events.Add(EventKind.Opened, $"opened by {client.Description}");
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
        _attachSent = device.TryAsk(ControlMessage.Attach, message, handles, reply => OnAttachAnswer(memory, reply));
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

        (OpenedNetworkMessage opened, SafeFileHandle[] handles) = memory.ForClient(device.Info, !_announced);
        bool first = !_announced;
        _announced = true;
        _client!.OnAttached(opened, handles, first);
    }

    private void OnDetached(ChannelMessage reply)
    {
        // A driver that does not give the memory up is ended: then the device is made quiet, and the memory freed, from outside.
        if (reply.Header.Type != (uint)ControlMessage.Done) throw new ChannelException($"it does not detach: {PeerText.OneLine(reply)}");
        FreeReleased();
    }

    private void AskFilters()
    {
        // Where no driver is ready, the next one is asked.
        if (_wanted is not { } wanted) return;
        device.TryAsk(ControlMessage.SetFilters, wanted.Filters, default, reply =>
        {
            if (_wanted != wanted) return;
            _wanted = null;
            bool done = reply.Header.Type == (uint)ControlMessage.Done;
            if (done) _filters = wanted.Filters;
            wanted.Answer(done ? null : PeerText.OneLine(reply));
        });
    }

    /// <summary>The next client starts with none, not with its predecessor's.</summary>
    private void ForgetFilters()
    {
        _wanted = null;
        _stale |= !AskForNone() && _filters is not null;
        _filters = null;
    }

    private bool AskForNone()
    {
        NetworkFilters none = default;
        return device.TryAsk(ControlMessage.SetFilters, none, default, _ => { });
    }

    private void OnStatistics(ChannelMessage reply)
    {
        if (reply.Header.Type != (uint)ControlMessage.Statistics) throw new ChannelException($"answer {reply.Header.Type} to GetStatistics");
        _current = reply.Get<NetworkStatistics>();
        StatisticsTime = Stopwatch.GetTimestamp();
        AnswerCurious();
    }

    private void AnswerCurious()
    {
        NetworkStatistics known = Statistics;
        // An answer can bring the next question: that one waits for its own turn.
        for (int count = _curious.Count; count > 0; count--) _curious.Dequeue()(known);
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
            log.LogError("{Device}: a client's memory cannot be unmapped: {Reason}", device.Name, exception.Message);
        }
    }

    private void FreeReleased()
    {
        Free(_releasing);
        _releasing = null;
        // Of a device that has disappeared the next client hears right after this.
        if (_next is not { } next || device.State == DeviceState.Gone) return;
        _next = null;
        if (Take(next.Client, next.Wish) is { } problem) next.Client.OnClosed(problem);
    }

    private static NetworkStatistics Sum(in NetworkStatistics first, in NetworkStatistics second)
    {
        NetworkStatistics sum = first;
        Span<ulong> words = MemoryMarshal.Cast<NetworkStatistics, ulong>(new Span<NetworkStatistics>(ref sum));
        ReadOnlySpan<ulong> more = MemoryMarshal.Cast<NetworkStatistics, ulong>(new ReadOnlySpan<NetworkStatistics>(in second));
        for (int i = 0; i < words.Length; i++) words[i] += more[i];
        return sum;
    }

    private sealed class FilterWish(NetworkFilters filters, Action<string?> answer)
    {
        public NetworkFilters Filters => filters;

        public Action<string?> Answer => answer;
    }
}
