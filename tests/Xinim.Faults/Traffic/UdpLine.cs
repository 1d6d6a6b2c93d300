using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace Xinim.Faults.Traffic;

/// <summary>QEMU's cable as UDP: one datagram a frame, both ways (-netdev socket).</summary>
internal sealed class UdpLine : ILine
{
    private readonly Socket _socket = new(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
    private readonly IPEndPoint _nic;

    public UdpLine()
    {
        _socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        _socket.ReceiveBufferSize = _socket.SendBufferSize = 4 << 20;
        // A port that is free now; QEMU binds it in a moment.
        using Socket place = new(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        place.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        _nic = (IPEndPoint)place.LocalEndPoint!;
    }

    /// <summary>QEMU's -netdev for it.</summary>
    public string Netdev => string.Create(CultureInfo.InvariantCulture, $"socket,udp=127.0.0.1:{OwnPort},localaddr=127.0.0.1:{_nic.Port}");

    /// <summary>Datagrams that found a full socket at either end (/proc/net/udp, last column).</summary>
    public ulong Dropped
    {
        get
        {
            string[] ends = [$"0100007F:{OwnPort:X4}", $"0100007F:{_nic.Port:X4}"];
            return File.ReadLines("/proc/net/udp").Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries))
                .Where(words => words.Length > 12 && ends.Contains(words[1])).Aggregate(0ul, (sum, words) => sum + ulong.Parse(words[^1], CultureInfo.InvariantCulture));
        }
    }

    private int OwnPort => ((IPEndPoint)_socket.LocalEndPoint!).Port;

    public bool TrySend(ReadOnlySpan<byte> frame)
    {
        try
        {
            _socket.SendTo(frame, SocketFlags.None, _nic);
            return true;
        }
        catch (SocketException)
        {
            // The model is not there yet, or no more.
            return false;
        }
    }

    public int Receive(Span<byte> into, TimeSpan limit)
    {
        try
        {
            return _socket.Poll(limit, SelectMode.SelectRead) ? _socket.Receive(into) : 0;
        }
        catch (SocketException)
        {
            return 0;
        }
    }

    public void Dispose() => _socket.Dispose();
}
