using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using Xinim.Ipc.Channels;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Protocols;

namespace Xinim.Supervisor.Tests.Harness;

/// <summary>A client whose every word is the test's.</summary>
internal sealed class ScriptedClient(Bench bench, Channel channel) : IDisposable
{
    private readonly Queue<ChannelMessage> _waiting = [];
    private readonly List<IDisposable> _received = [];
    private SafeFileHandle? _clientBell;
    private SafeFileHandle? _driverBell;

    /// <summary>The supervisor has closed the connection.</summary>
    public bool IsClosed { get; private set; }

    /// <summary>As last told.</summary>
    public OpenedNetworkMessage Opened { get; private set; }

    /// <summary>The rings of the present generation.</summary>
    public NetworkRings.ClientEnd? Rings { get; private set; }

    public Channel Channel => channel;

    /// <summary>True where a message waits.</summary>
    public bool HasMessage => Hear() && _waiting.Count > 0;

    public static OpenNetworkMessage Wish(string device = "net0", ulong tx = 4096, ulong rx = 4096, uint txRing = 4, uint rxRing = 4) =>
        new() { Device = FixedText.From(device), TxPoolBytes = tx, RxPoolBytes = rx, TxCapacity = txRing, RxCapacity = rxRing, Pairs = 1 };

    public void Send<T>(ClientMessage type, in T payload, uint request = 1)
        where T : unmanaged
        => channel.SendBytes(new MessageHeader((uint)type, 0, request), MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in payload)), default);

    public void SendOpen(OpenNetworkMessage? wish = null) => Send(ClientMessage.OpenNetwork, wish ?? Wish());

    public void SendControl(string verb, string argument = "", string device = "net0")
        => channel.SendText(new MessageHeader((uint)ClientMessage.Control, 0, 1), $"{verb}\0{device}\0{argument}");

    /// <summary>The next message, which must be of this type; news of the link may come at any time.</summary>
    public ChannelMessage Expect(ClientMessage type)
    {
        while (true)
        {
            ChannelMessage message = Next(type);
            if (message.Header.Type == (uint)type) return message;
            bool isNews = message.Header.Type == (uint)ClientMessage.LinkChanged;
            string text = message.Header.Type is (uint)ClientMessage.Refused or (uint)ClientMessage.Closed ? message.Text : "";
            message.Dispose();
            Assert.True(isNews, $"{(ClientMessage)message.Header.Type} {text} came instead of {type}");
        }
    }

    /// <summary>The reason of a refusal, or of a close.</summary>
    public string ExpectText(ClientMessage type)
    {
        using ChannelMessage message = Expect(type);
        return message.Text;
    }

    /// <summary>Opens the device as the supervisor described it.</summary>
    public void AwaitOpened()
    {
        using ChannelMessage message = Expect(ClientMessage.Opened);
        Opened = message.Get<OpenedNetworkMessage>();
        _clientBell = Keep(message.TakeHandle(3));
        _driverBell = Keep(message.TakeHandle(4));
        Adopt(message.TakeHandle(2));
    }

    /// <summary>Takes the next generation's rings.</summary>
    public void AwaitReopened()
    {
        using ChannelMessage message = Expect(ClientMessage.Reopened);
        Opened = message.Get<OpenedNetworkMessage>();
        Adopt(message.TakeHandle(0));
    }

    /// <summary>Waits until the supervisor has closed the connection.</summary>
    public void AwaitClosed() => bench.Until(() => !Hear() || IsClosed, "the connection is closed");

    /// <summary>Dies.</summary>
    public void Dispose()
    {
        channel.Dispose();
        Rings = null;
        foreach (ChannelMessage message in _waiting) message.Dispose();
        foreach (IDisposable received in _received) received.Dispose();
        _received.Clear();
        _waiting.Clear();
    }

    private ChannelMessage Next(ClientMessage type)
    {
        bench.Until(() => HasMessage || IsClosed, $"the client gets {type}");
        Assert.False(_waiting.Count == 0, $"the connection was closed instead of {type}");
        return _waiting.Dequeue();
    }

    private void Adopt(SafeFileHandle rings) =>
        Rings = new NetworkRings.ClientEnd(Keep(SharedRegion.Open(rings, Opened.RingsBytes, RegionAccess.ReadWrite)), Opened.Rings, _clientBell!, _driverBell!);

    private T Keep<T>(T received)
        where T : IDisposable
    {
        _received.Add(received);
        return received;
    }

    private bool Hear()
    {
        while (!IsClosed)
        {
            if (!channel.TryReceive(out ChannelMessage? message)) IsClosed = true;
            else if (message is null) return true;
            else _waiting.Enqueue(message);
        }

        return _waiting.Count > 0;
    }
}
