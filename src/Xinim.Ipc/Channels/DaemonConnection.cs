using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Win32.SafeHandles;
using Xinim.Ipc.Protocols;

namespace Xinim.Ipc.Channels;

/// <summary>A client's connection to the daemon: questions with answers, and news in between.</summary>
public sealed class DaemonConnection : IDisposable
{
    private readonly Channel _channel;
    private readonly TimeSpan _limit;
    private readonly Func<string, Exception> _failure;
    private uint _lastRequest;

    private DaemonConnection(Channel channel, TimeSpan limit, Func<string, Exception> failure)
    {
        _channel = channel;
        _limit = limit;
        _failure = failure;
    }

    /// <summary>Readable when news are waiting.</summary>
    public SafeFileHandle Handle => _channel.Handle;

    /// <param name="socket">Null for the usual one.</param>
    /// <param name="limit">For answers.</param>
    /// <param name="failure">Makes the caller's exception of a message; whatever goes wrong later is thrown so.</param>
    /// <exception cref="LinuxException">No daemon listens there, or this user may not connect.</exception>
    public static DaemonConnection Connect(string? socket, TimeSpan limit, Func<string, Exception> failure)
        => new(ChannelListener.Connect(socket ?? RuntimePaths.Socket), limit, failure);

    /// <summary>Asks for a device. There may be news of it, or the daemon may change its mind, while the driver is still being told.</summary>
    /// <param name="question">The class's wish.</param>
    public ChannelMessage Open<T>(ClientMessage question, in T wish)
        where T : unmanaged
        => Ask(question, wish, ClientMessage.Opened, news =>
        {
            using (news)
            {
                if (news.Header.Type == (uint)ClientMessage.Closed) throw _failure(news.Text);
            }
        });

    /// <summary>Asks and waits for the answer.</summary>
    /// <param name="wanted">The answer's type.</param>
    /// <param name="onNews">Gets, and owns, what comes in between; without it, anything else is an error.</param>
    public ChannelMessage Ask<T>(ClientMessage question, in T payload, ClientMessage wanted, Action<ChannelMessage>? onNews = null)
        where T : unmanaged
        => AskBytes(question, MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in payload)), wanted, onNews);

    /// <inheritdoc cref="Ask{T}"/>
    public ChannelMessage AskText(ClientMessage question, string text, ClientMessage wanted) => AskBytes(question, Encoding.UTF8.GetBytes(text), wanted, null);

    /// <summary>Tells the daemon something that has no answer.</summary>
    public void Tell(ClientMessage what, uint generation, string text)
    {
        try
        {
            _channel.SendText(new MessageHeader((uint)what, generation, 0), text);
        }
        catch (ChannelException exception)
        {
            throw _failure($"the connection to the daemon broke: {exception.Message}");
        }
    }

    /// <summary>The next of what the daemon sent unasked; null where there is nothing.</summary>
    public ChannelMessage? TryReceive()
    {
        try
        {
            return _channel.TryReceive(out ChannelMessage? message) ? message : throw _failure("the daemon closed the connection");
        }
        catch (ChannelException exception)
        {
            throw _failure($"the connection to the daemon broke: {exception.Message}");
        }
    }

    public void Dispose() => _channel.Dispose();

    private ChannelMessage AskBytes(ClientMessage question, ReadOnlySpan<byte> payload, ClientMessage wanted, Action<ChannelMessage>? onNews)
    {
        uint request = ++_lastRequest;
        try
        {
            _channel.SendBytes(new MessageHeader((uint)question, 0, request), payload, default);
            while (true)
            {
                ChannelMessage answer = _channel.Receive(_limit);
                if (answer.Header.Request == request && answer.Header.Type == (uint)wanted) return answer;
                if (onNews is not null && answer.Header.Request == 0)
                {
                    onNews(answer);
                    continue;
                }

                using (answer)
                {
                    bool reason = answer.Header.Type is (uint)ClientMessage.Refused or (uint)ClientMessage.Closed;
                    throw _failure(reason ? answer.Text : $"the daemon answered {answer.Header.Type} to {question}");
                }
            }
        }
        catch (ChannelException exception)
        {
            throw _failure($"the daemon does not answer: {exception.Message}");
        }
    }
}
