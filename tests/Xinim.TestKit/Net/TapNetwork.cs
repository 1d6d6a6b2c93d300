using System.Buffers.Binary;
using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace Xinim.TestKit.Net;

/// <summary>
/// A TAP interface with several queues, and a station on its other side: what a NIC that is attached to it sends is received here, and the reverse. The kernel
/// between them cuts frames and spreads them over queues as the NIC's driver has negotiated.
/// </summary>
public sealed class TapNetwork : IDisposable
{
    private const int PacketLevel = 263, VnetHeaderOption = 15; // SOL_PACKET, PACKET_VNET_HDR (packet(7))
    private const int HeaderBytes = 10; // struct virtio_net_hdr without num_buffers
    private const string Program = "/usr/sbin/ip";
    private static int s_made;
    private readonly int _queues;
    private readonly Socket _socket;
    private readonly byte[] _buffer = new byte[HeaderBytes + 65_600];

    /// <param name="type">EtherType of the frames that are received here.</param>
    /// <exception cref="InvalidOperationException">This user may not make one.</exception>
    /// <param name="queues">Pairs of the NIC's.</param>
    public TapNetwork(ushort type, int queues)
    {
        _queues = queues;
        Name = string.Create(CultureInfo.InvariantCulture, $"xt{Environment.ProcessId % 1_000_000}n{Interlocked.Increment(ref s_made)}");
        Ip(["tuntap", "add", "dev", Name, "mode", "tap", "vnet_hdr", .. queues > 1 ? ["multi_queue"] : Array.Empty<string>()]);
        // Nothing but the test's frames.
        string ipv6 = $"/proc/sys/net/ipv6/conf/{Name}/disable_ipv6";
        if (File.Exists(ipv6)) File.WriteAllText(ipv6, "1");
        Ip("link", "set", "dev", Name, "mtu", "9000", "up");
        int index = int.Parse(File.ReadAllText($"/sys/class/net/{Name}/ifindex"), CultureInfo.InvariantCulture);
        _socket = new Socket(AddressFamily.Packet, SocketType.Raw, (ProtocolType)BinaryPrimitives.ReverseEndianness(type));
        _socket.SetRawSocketOption(PacketLevel, VnetHeaderOption, BitConverter.GetBytes(1));
        _socket.ReceiveBufferSize = 4 << 20;
        _socket.Bind(new LinkEndPoint(index, type));
    }

    /// <summary>Of the interface.</summary>
    public string Name { get; }

    /// <summary>As the model's netdev.</summary>
    public string Netdev => _queues == 1 ? $"tap,ifname={Name}" : $"tap,ifname={Name},queues={_queues}";

    /// <summary>Sends a frame to the NIC.</summary>
    public void Send(ReadOnlySpan<byte> frame) => Send(frame, new byte[HeaderBytes]);

    /// <summary>Sends TCP over IPv4 that is to be cut, its checksum holding the pseudo-header's sum.</summary>
    public void SendUncut(ReadOnlySpan<byte> frame, ushort segment)
    {
        byte[] header = new byte[HeaderBytes];
        (header[0], header[1]) = (1, 1); // NEEDS_CSUM, TCPv4
        BinaryPrimitives.WriteUInt16LittleEndian(header.AsSpan(2), 54);
        BinaryPrimitives.WriteUInt16LittleEndian(header.AsSpan(4), segment);
        BinaryPrimitives.WriteUInt16LittleEndian(header.AsSpan(6), 34);
        BinaryPrimitives.WriteUInt16LittleEndian(header.AsSpan(8), 16);
        Send(frame, header);
    }

    /// <summary>The next frame of the NIC's; null where none has come.</summary>
    public byte[]? TryReceive() => _socket.Poll(0, SelectMode.SelectRead) ? _buffer[HeaderBytes.._socket.Receive(_buffer)] : null;

    public void Dispose()
    {
        _socket.Dispose();
        Ip("link", "del", "dev", Name);
    }

    private void Send(ReadOnlySpan<byte> frame, byte[] header) => _ = _socket.Send([.. header, .. frame]);

    private static void Ip(params IEnumerable<string> arguments)
    {
        if (!File.Exists(Program)) throw new InvalidOperationException($"{Program} is missing; install the package iproute2");
        using Process process = Process.Start(new ProcessStartInfo(Program, arguments) { RedirectStandardError = true })!;
        string error = process.StandardError.ReadToEnd();
        process.WaitForExit();
        if (process.ExitCode != 0) throw new InvalidOperationException($"ip {string.Join(' ', arguments)}: {error.Trim()}");
    }

    /// <summary>struct sockaddr_ll (packet(7)).</summary>
    private sealed class LinkEndPoint(int index, ushort type) : EndPoint
    {
        public override AddressFamily AddressFamily => AddressFamily.Packet;

        public override SocketAddress Serialize()
        {
            SocketAddress address = new(AddressFamily.Packet, 20);
            (address[2], address[3]) = ((byte)(type >> 8), (byte)type);
            Span<byte> number = stackalloc byte[4];
            BinaryPrimitives.WriteInt32LittleEndian(number, index);
            for (int i = 0; i < 4; i++) address[4 + i] = number[i];
            return address;
        }
    }
}
