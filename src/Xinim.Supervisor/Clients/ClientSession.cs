using Microsoft.Extensions.Logging;
using Microsoft.Win32.SafeHandles;
using Xinim.Ipc.Channels;
using Xinim.Ipc.Events;
using Xinim.Ipc.Protocols;
using Xinim.Supervisor.Devices;

namespace Xinim.Supervisor.Clients;

/// <summary>
/// One connected client. It is not trusted: whatever it sends is a known message of the right size or ends the connection, and the end of
/// the connection, however it comes, gives back what it held.
/// </summary>
internal sealed class ClientSession : IDeviceClient, IDisposable
{
    /// <summary>Messages handled before others have their turn.</summary>
    private const int Batch = 64;

    private readonly Channel _channel;
    private readonly PeerCredentials _peer;
    private readonly Supervisor _supervisor;
    private readonly ILogger _log;
    private readonly IDisposable _watch;
    private ManagedDevice? _device;
    private uint _openRequest;
    private bool _closed;

    public ClientSession(EventLoop loop, Supervisor supervisor, Channel channel, PeerCredentials peer, ILogger log)
    {
        _channel = channel;
        _peer = peer;
        _supervisor = supervisor;
        _log = log;
        _watch = loop.Watch(channel.Handle, OnMessages);
    }

    public string Description => $"process {_peer.Pid} of user {_peer.Uid}";

    public int Pid => _peer.Pid;

    void IDeviceClient.OnAttached(uint generation, byte[] opened, SafeFileHandle[] handles, bool first)
    {
        ClientMessage type = first ? ClientMessage.Opened : ClientMessage.Reopened;
        Guard(() => _channel.SendBytes(new MessageHeader((uint)type, generation, first ? _openRequest : 0), opened, handles));
    }

    void IDeviceClient.OnNews(ClientMessage type, byte[] payload) => Guard(() => _channel.SendBytes(new MessageHeader((uint)type, 0, 0), payload, default));

    void IDeviceClient.OnClosed(string reason, ClientMessage type)
    {
        _device = null;
        Guard(() => _channel.SendText(new MessageHeader((uint)type, 0, 0), reason));
    }

    /// <summary>Ends the connection and gives back what the client held.</summary>
    public void Dispose()
    {
        if (_closed) return;
        _closed = true;
        _watch.Dispose();
        _device?.Client.Release(this);
        _device = null;
        _channel.Dispose();
        _supervisor.Forget(this);
    }

    private void OnMessages()
    {
        Guard(() =>
        {
            for (int count = 0; count < Batch && !_closed; count++)
            {
                if (!_channel.TryReceive(out ChannelMessage? message))
                {
                    Dispose();
                    return;
                }

                if (message is null) return;
                using (message) Dispatch(message);
            }
        });
    }

    private void Dispatch(ChannelMessage message)
    {
        uint request = message.Header.Request;
        switch ((ClientMessage)message.Header.Type)
        {
            case ClientMessage.GetStatus:
                _channel.SendText(new MessageHeader((uint)ClientMessage.Report, 0, request), _supervisor.Report().ToJson());
                break;
            case ClientMessage.GetStatistics: SendStatistics(request); break;
            case ClientMessage.ReportDriver: _device?.OnReported(message.Header.Generation, PeerText.OneLine(message)); break;
            case ClientMessage.GetEvents:
                _channel.SendText(new MessageHeader((uint)ClientMessage.Events, 0, request), _supervisor.EventsAfter(message.Get<ulong>()).ToJson());
                break;
            case ClientMessage.Control: Control(message.Text, request); break;
            default: DispatchToClass(message); break;
        }
    }

    private void DispatchToClass(ChannelMessage message)
    {
        ClientMessage type = (ClientMessage)message.Header.Type;
        uint request = message.Header.Request;
        ClassMessage known = DeviceClass.Messages.FirstOrDefault(known => known.Type == type);
        if (known.Bytes == 0) throw new ChannelException($"it sent message {message.Header.Type}, which no client sends");
        if (message.Payload.Length < known.Bytes) throw new ChannelException($"its {type} has {message.Payload.Length} bytes, not {known.Bytes}");
        if (DeviceClass.All.Any(one => one.Open.Type == type)) Open(message);
        else if (_device is null) Refuse(request, "open a device first");
        else _device.Client.Answer(this, message, reason => Conclude(request, reason));
    }

    /// <summary>Every wish begins with the device's name.</summary>
    private void Open(ChannelMessage wish)
    {
        string wanted = wish.Get<FixedText>().ToString();
        string? problem = _device is not null ? $"this connection holds {_device.Name} already"
            : _supervisor.Resolve(wanted, out uint? port) is not { } device ? $"there is no device '{wanted}'; the daemon has {_supervisor.DeviceNames}"
            : TryOpen(device, wish, port);
        if (problem is not null) Refuse(wish.Header.Request, problem);
    }

    private string? TryOpen(ManagedDevice device, ChannelMessage wish, uint? port)
    {
        _openRequest = wish.Header.Request;
        _device = device;
        string? problem = device.Client.Open(this, wish, port);
        if (problem is not null) _device = null;
        return problem;
    }

    private void Control(string text, uint request)
    {
        if (_peer.Uid != 0 && _peer.Uid != Tmds.Linux.LibC.getuid())
        {
            Refuse(request, "only root and the daemon's own user may do that");
            return;
        }

        string[] words = text.Split('\0');
        if (words.Length != 3) throw new ChannelException($"a control message of {words.Length} words");
        if (_supervisor.Resolve(words[1], out uint? port) is { } device) DeviceCommands.Run(device, port, words[0], words[2], problem => Conclude(request, problem));
        else Refuse(request, $"there is no device '{words[1]}'; the daemon has {_supervisor.DeviceNames}");
    }

    private void Conclude(uint request, string? problem)
    {
        if (problem is not null) Refuse(request, problem);
        else Guard(() => _channel.Send(new MessageHeader((uint)ClientMessage.Done, 0, request)));
    }

    private void SendStatistics(uint request)
    {
        if (_device is null) Refuse(request, "open a device first");
        else _device.Client.Counters.Refresh(statistics => Guard(() => _channel.SendBytes(new MessageHeader((uint)ClientMessage.Statistics, 0, request), statistics, default)), _device.Client.UnitOf(this));
    }

    private void Refuse(uint request, string reason) => Guard(() => _channel.SendText(new MessageHeader((uint)ClientMessage.Refused, 0, request), reason));

    /// <summary>A client that cannot be talked to is closed; nothing else happens.</summary>
    private void Guard(Action action)
    {
        if (_closed) return;
        try
        {
            action();
        }
        catch (Exception exception) when (exception is not OutOfMemoryException)
        {
            // A ChannelException nearly always. Whatever else it is, it came of what this client asked: it costs this client, not the daemon.
            _log.LogWarning("client {Client} closed: {Reason}", Description, exception.Message);
            Dispose();
        }
    }
}
