using System.Diagnostics;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using Xinim.Ipc.Channels;
using Xinim.Ipc.Events;
using Xinim.Ipc.Processes;
using Xinim.Ipc.Protocols;
using Xinim.Supervisor.Policy;

namespace Xinim.Supervisor.Devices;

/// <summary>What a driver's life tells its device. All calls come on the supervisor's thread.</summary>
internal interface IDriverObserver
{
    /// <summary>Something that only its class says unasked.</summary>
    /// <exception cref="ChannelException">No driver of the class says that.</exception>
    void OnNews(ChannelMessage news);

    void OnLog(string line);

    /// <param name="unit">Whose client it was.</param>
    void OnClientFault(uint unit, string reason);

    /// <summary>The process is dead and reaped: nothing of it can touch the device any more.</summary>
    void OnEnded(DriverEnd end);
}

/// <summary>
/// One life of a driver: its process, its channel and what was asked of it. Whatever goes wrong — death, silence, nonsense — ends in
/// <see cref="IDriverObserver.OnEnded"/>, once.
/// </summary>
internal sealed class DriverLife : IDisposable
{
    /// <summary>Messages handled before others have their turn: a driver that floods its channel must not hold up the rest of the machine.</summary>
    private const int Batch = 64;

    /// <summary>What a driver may say unasked between two answers. The supervisor asks every second, so a working driver stays far below.</summary>
    private const int MaxUnasked = 256;
    private static readonly TimeSpan EndLimit = TimeSpan.FromSeconds(1);

    private readonly EventLoop _loop;
    private readonly IDriverObserver _observer;
    private readonly SpawnedDriver _process;
    private readonly ChildProcess _child;
    private readonly Channel _channel;
    private readonly VitalSigns _vital;
    private readonly List<IDisposable> _watches = [];
    private readonly Dictionary<uint, Question> _questions = [];
    private uint _lastRequest;
    private int _unasked;
    private FaultKind _kind;
    private string? _reason;
    private string? _sendFailure;
    private bool _killed;
    private bool _silent;
    private bool _greeted;
    private uint _lastBeats;
    private long _lastBeat;

    /// <param name="process">Owned from now on.</param>
    public DriverLife(EventLoop loop, IDriverObserver observer, SpawnedDriver process, uint generation)
    {
        _loop = loop;
        _observer = observer;
        _process = process;
        _child = process.Child;
        _channel = process.Channel;
        _vital = new VitalSigns(process.Vital);
        Generation = generation;
        _watches.Add(loop.Watch(_child.Handle, OnProcessEnd));
        _watches.Add(loop.Watch(_channel.Handle, OnMessages));
    }

    public uint Generation { get; }

    public int Pid => _child.Pid;

    /// <summary>What the driver says of its way to the device and back.</summary>
    public LatencySummary Latency => _vital.Latency;

    /// <summary>What the driver writes its heartbeat to.</summary>
    public SafeFileHandle Vital => _process.Vital.Handle;

    /// <summary>Asks the driver something.</summary>
    /// <param name="limit">Without an answer after this, the driver is killed.</param>
    /// <param name="onAnswer">Called with Done, Refused or the particular answer; never called after the driver's end.</param>
    /// <param name="unit">What it is about.</param>
    public void Ask<T>(ControlMessage type, in T payload, ReadOnlySpan<SafeFileHandle> handles, TimeSpan limit, Action<ChannelMessage> onAnswer, uint unit = 0)
        where T : unmanaged
        => AskBytes(type, MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in payload)), handles, limit, onAnswer, unit);

    /// <inheritdoc cref="Ask{T}"/>
    public void Ask(ControlMessage type, TimeSpan limit, Action<ChannelMessage> onAnswer, uint unit = 0) => AskBytes(type, default, default, limit, onAnswer, unit);

    /// <summary>From now on a driver whose heart stops for <paramref name="limit"/> is ended. The page holds whatever it writes: only change counts.</summary>
    /// <param name="period">Between two looks.</param>
    public void WatchHeart(TimeSpan period, TimeSpan limit)
    {
        _lastBeats = _vital.Beats;
        _lastBeat = Stopwatch.GetTimestamp();
        long lastLook = _lastBeat;
        _watches.Add(_loop.Every(period, () =>
        {
            uint beats = _vital.Beats;
            // A supervisor that was itself held up does not blame its drivers: they may have been held up with it.
            bool late = Stopwatch.GetElapsedTime(lastLook) > limit / 2;
            lastLook = Stopwatch.GetTimestamp();
            if (beats != _lastBeats || late) (_lastBeats, _lastBeat) = (beats, lastLook);
            else if (Stopwatch.GetElapsedTime(_lastBeat) > limit) Kill(FaultKind.Hang, $"no heartbeat for {limit.TotalMilliseconds:0} ms");
        }));
    }

    /// <summary>Ends the driver from outside.</summary>
    /// <param name="kind">For the record; the first kind and reason stay.</param>
    public void Kill(FaultKind kind, string reason)
    {
        Blame(kind, reason);
        _killed = true;
        // What it has said but was not heard yet is void.
        _watches[1].Dispose();
        _child.Signal(PosixSignalNumber.Kill);
    }

    /// <summary>Kills the process if it still lives, without telling the observer.</summary>
    public void Dispose()
    {
        foreach (IDisposable watch in _watches) watch.Dispose();
        foreach (Question question in _questions.Values) question.Limit.Dispose();
        _process.Dispose();
    }

    private void AskBytes(ControlMessage type, ReadOnlySpan<byte> payload, ReadOnlySpan<SafeFileHandle> handles, TimeSpan limit, Action<ChannelMessage> onAnswer, uint unit)
    {
        uint request = ++_lastRequest;
        IDisposable timer = _loop.After(limit, () => Kill(FaultKind.Hang, $"no answer to {type} within {limit.TotalMilliseconds:0} ms"));
        _questions.Add(request, new Question(onAnswer, timer));
        try
        {
            _channel.SendBytes(new MessageHeader((uint)type, Generation, request, unit), payload, handles);
        }
        catch (ChannelException exception)
        {
            // A driver that is ending already may have said why: that is heard first.
            if (_silent) return;
            _sendFailure ??= exception.Message;
            _child.Signal(PosixSignalNumber.Kill);
        }
    }

    private void OnMessages()
    {
        try
        {
            for (int count = 0; count < Batch && !_killed; count++)
            {
                if (!_channel.TryReceive(out ChannelMessage? message))
                {
                    // Usually the process is ending: its exit says more. One that only closed its channel serves nobody.
                    if (_silent) return;
                    _silent = true;
                    _watches[1].Dispose();
                    _watches.Add(_loop.After(EndLimit, () => Kill(FaultKind.Protocol, "it closed its channel and did not end")));
                    return;
                }

                if (message is null) return;
                using (message) Dispatch(message);
            }
        }
        catch (ChannelException exception)
        {
            Kill(FaultKind.Protocol, $"it broke the protocol: {exception.Message}");
        }
        catch (Exception exception) when (exception is not OutOfMemoryException)
        {
            // Whatever it is, it came of what this driver said: it costs this driver's life, not the daemon's.
            Kill(FaultKind.Protocol, $"its message could not be handled: {exception.Message}");
        }
    }

    private void Dispatch(ChannelMessage message)
    {
        if (!_greeted && message.Header.Type == (uint)ControlMessage.Hello)
        {
            // Said before it knew its generation; only who waits for a new version looks at it.
            _greeted = true;
            return;
        }

        if (message.Header.Generation != Generation) throw new ChannelException($"a message of generation {message.Header.Generation}, {Generation} runs");
        if (message.Header.Request != 0)
        {
            if (!_questions.Remove(message.Header.Request, out Question? question)) throw new ChannelException($"an answer to request {message.Header.Request}, which nobody made");
            question.Limit.Dispose();
            _unasked = 0;
            question.OnAnswer(message);
            return;
        }

        if (++_unasked > MaxUnasked) throw new ChannelException($"{MaxUnasked} messages without being asked");
        switch ((ControlMessage)message.Header.Type)
        {
            case ControlMessage.Log: _observer.OnLog(PeerText.OneLine(message)); break;
            case ControlMessage.Fault: Blame(FaultKind.Device, PeerText.OneLine(message)); break;
            case ControlMessage.ClientFault: _observer.OnClientFault(message.Header.Unit, PeerText.OneLine(message)); break;
            default: _observer.OnNews(message); break;
        }
    }

    private void OnProcessEnd()
    {
        // The last words first: a fault's reason is still in the socket. As many as a good driver has; a flood ends here.
        for (int round = 0; round < MaxUnasked / Batch; round++) OnMessages();
        _child.TryReap();
        string? said = _reason ?? _sendFailure;
        string reason = said is null ? $"{_child.Exit}" : $"{said} ({_child.Exit})";
        if (_kind == FaultKind.None) _kind = _sendFailure is not null ? FaultKind.Hang : _child.Exit!.Value.Signal != 0 ? FaultKind.Signal : FaultKind.Exit;
        Dispose();
        _observer.OnEnded(new DriverEnd(_kind, reason));
    }

    private void Blame(FaultKind kind, string reason)
    {
        if (_reason is not null) return;
        _kind = kind;
        _reason = reason;
    }

    private sealed record Question(Action<ChannelMessage> OnAnswer, IDisposable Limit);
}
