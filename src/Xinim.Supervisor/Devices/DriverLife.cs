using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using Xinim.Ipc;
using Xinim.Ipc.Channels;
using Xinim.Ipc.Events;
using Xinim.Ipc.Processes;
using Xinim.Ipc.Protocols;

namespace Xinim.Supervisor.Devices;

/// <summary>What a driver's life tells its device. All calls come on the supervisor's thread.</summary>
internal interface IDriverObserver
{
    void OnLinkChanged(LinkState link);

    void OnLog(string line);

    void OnClientFault(string reason);

    /// <summary>The process is dead and reaped: nothing of it can touch the device any more.</summary>
    void OnEnded(string reason);
}

/// <summary>
/// One life of a driver: its process, its channel and what was asked of it. Whatever goes wrong — death, silence, nonsense — ends in
/// <see cref="IDriverObserver.OnEnded"/>, once.
/// </summary>
internal sealed class DriverLife : IDisposable
{
    private static readonly TimeSpan EndLimit = TimeSpan.FromSeconds(1);

    private readonly EventLoop _loop;
    private readonly IDriverObserver _observer;
    private readonly ChildProcess _child;
    private readonly Channel _channel;
    private readonly List<IDisposable> _watches = [];
    private readonly Dictionary<uint, Question> _questions = [];
    private uint _lastRequest;
    private string? _reason;

    private DriverLife(EventLoop loop, IDriverObserver observer, ChildProcess child, Channel channel, uint generation)
    {
        _loop = loop;
        _observer = observer;
        _child = child;
        _channel = channel;
        Generation = generation;
        _watches.Add(loop.Watch(child.Handle, OnProcessEnd));
        _watches.Add(loop.Watch(channel.Handle, OnMessages));
    }

    public uint Generation { get; }

    public int Pid => _child.Pid;

    /// <summary>Starts the process; it holds one end of a new channel and nothing else.</summary>
    /// <exception cref="LinuxException">It cannot be started.</exception>
    public static DriverLife Start(EventLoop loop, IDriverObserver observer, LaunchRequest request, uint generation)
    {
        (Channel mine, Channel its) = Channel.CreatePair();
        using (its)
        {
            try
            {
                ChildProcess child = ProcessLauncher.Start(request with { Handles = [its.Handle] });
                return new DriverLife(loop, observer, child, mine, generation);
            }
            catch
            {
                mine.Dispose();
                throw;
            }
        }
    }

    /// <summary>Asks the driver something.</summary>
    /// <param name="limit">Without an answer after this, the driver is killed.</param>
    /// <param name="onAnswer">Called with Done, Refused or the particular answer; never called after the driver's end.</param>
    public void Ask<T>(ControlMessage type, in T payload, ReadOnlySpan<SafeFileHandle> handles, TimeSpan limit, Action<ChannelMessage> onAnswer)
        where T : unmanaged
        => AskBytes(type, MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in payload)), handles, limit, onAnswer);

    /// <inheritdoc cref="Ask{T}"/>
    public void Ask(ControlMessage type, TimeSpan limit, Action<ChannelMessage> onAnswer) => AskBytes(type, default, default, limit, onAnswer);

    /// <summary>Ends the driver from outside.</summary>
    /// <param name="reason">For the log; the first reason stays.</param>
    public void Kill(string reason)
    {
        _reason ??= reason;
        _child.Signal(PosixSignalNumber.Kill);
    }

    /// <summary>Kills the process if it still lives, without telling the observer.</summary>
    public void Dispose()
    {
        foreach (IDisposable watch in _watches) watch.Dispose();
        foreach (Question question in _questions.Values) question.Limit.Dispose();
        _child.Dispose();
        _channel.Dispose();
    }

    private void AskBytes(ControlMessage type, ReadOnlySpan<byte> payload, ReadOnlySpan<SafeFileHandle> handles, TimeSpan limit, Action<ChannelMessage> onAnswer)
    {
        uint request = ++_lastRequest;
        IDisposable timer = _loop.After(limit, () => Kill($"no answer to {type} within {limit.TotalMilliseconds:0} ms"));
        _questions.Add(request, new Question(onAnswer, timer));
        try
        {
            _channel.SendBytes(new MessageHeader((uint)type, Generation, request), payload, handles);
        }
        catch (ChannelException exception)
        {
            Kill(exception.Message);
        }
    }

    private void OnMessages()
    {
        try
        {
            while (_channel.TryReceive(out ChannelMessage? message))
            {
                if (message is null) return;
                using (message) Dispatch(message);
            }

            // Usually the process is ending: its exit says more. One that only closed its channel serves nobody.
            _watches[1].Dispose();
            _watches.Add(_loop.After(EndLimit, () => Kill("it closed its channel and did not end")));
        }
        catch (ChannelException exception)
        {
            Kill($"it broke the protocol: {exception.Message}");
        }
    }

    private void Dispatch(ChannelMessage message)
    {
        if (message.Header.Generation != Generation) throw new ChannelException($"a message of generation {message.Header.Generation}, {Generation} runs");
        if (message.Header.Request != 0)
        {
            if (!_questions.Remove(message.Header.Request, out Question? question)) throw new ChannelException($"an answer to request {message.Header.Request}, which nobody made");
            question.Limit.Dispose();
            question.OnAnswer(message);
            return;
        }

        switch ((ControlMessage)message.Header.Type)
        {
            case ControlMessage.LinkChanged: _observer.OnLinkChanged(message.Get<LinkState>()); break;
            case ControlMessage.Log: _observer.OnLog(OneLine(message.Text)); break;
            case ControlMessage.Fault: _reason ??= OneLine(message.Text); break;
            case ControlMessage.ClientFault: _observer.OnClientFault(OneLine(message.Text)); break;
            default: throw new ChannelException($"an unasked message of type {message.Header.Type}");
        }
    }

    private void OnProcessEnd()
    {
        // The last words first: a fault's reason is still in the socket.
        try
        {
            OnMessages();
        }
        finally
        {
            _child.TryReap();
            string reason = _reason is null ? $"{_child.Exit}" : $"{_reason} ({_child.Exit})";
            Dispose();
            _observer.OnEnded(reason);
        }
    }

    /// <summary>Drivers are not trusted with the log's layout or size.</summary>
    private static string OneLine(string text)
    {
        const int Limit = 400;
        string line = new([.. text.Take(Limit).Select(letter => char.IsControl(letter) ? ' ' : letter)]);
        return line.Length < text.Length ? line + "…" : line;
    }

    private sealed record Question(Action<ChannelMessage> OnAnswer, IDisposable Limit);
}
