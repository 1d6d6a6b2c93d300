using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace Xinim.Supervisor.Tests.Native;

/// <summary>The other end of the NIC's cable: QEMU sends each frame as one UDP datagram, and takes those that come back as frames.</summary>
internal sealed class Wire : IDisposable
{
    private readonly Socket _socket = new(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
    private readonly IPEndPoint _model;
    private readonly byte[] _frame = new byte[65536];

    public Wire()
    {
        _socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        _socket.ReceiveBufferSize = 4 << 20;
        // A port that is free now; QEMU binds it in a moment.
        using Socket place = new(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        place.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        _model = (IPEndPoint)place.LocalEndPoint!;
    }

    /// <summary>QEMU's -netdev for it.</summary>
    public string Netdev => string.Create(
        CultureInfo.InvariantCulture, $"socket,udp=127.0.0.1:{((IPEndPoint)_socket.LocalEndPoint!).Port},localaddr=127.0.0.1:{_model.Port}");

    /// <summary>A frame towards the NIC.</summary>
    public void Send(ReadOnlySpan<byte> frame) => _socket.SendTo(frame, SocketFlags.None, _model);

    /// <summary>The next frame that the NIC sent; empty where none came in time.</summary>
    public ReadOnlySpan<byte> Receive(TimeSpan limit)
    {
        if (!_socket.Poll(limit, SelectMode.SelectRead)) return default;
        int length = _socket.Receive(_frame);
        return _frame.AsSpan(0, length);
    }

    public void Dispose() => _socket.Dispose();
}
