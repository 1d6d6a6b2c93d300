using System.Diagnostics;
using Xinim.Ipc.Protocols;
using Xinim.Net.Ports;

namespace Xinim.Net.Ip;

/// <summary>An echo message for this station.</summary>
public delegate void EchoHandler(in Ipv4Packet packet, in IcmpEcho echo);

/// <summary>
/// A host with one address on a NIC: says who it is when asked (ARP), and passes on what is for it. It has no sockets and keeps no tables;
/// it is what tools need, not a protocol stack.
/// </summary>
public sealed class Ipv4Station(NetworkPort port)
{
    private readonly ReceivedBuffer[] _pieces = new ReceivedBuffer[64];

    public NetworkPort Port => port;

    public MacAddress Mac => port.Info.Mac;

    /// <summary>Who this station is; null until it knows.</summary>
    public Ipv4Configuration? Configuration { get; set; }

    /// <summary>When the last batch was received, in ticks of <see cref="Stopwatch"/>.</summary>
    public long ReceivedAt { get; private set; }

    public Action<ArpPacket>? OnArp { get; set; }

    public Action<DhcpMessage>? OnDhcp { get; set; }

    public EchoHandler? OnEcho { get; set; }

    /// <summary>Looks at what has come.</summary>
    /// <returns>False where nothing has.</returns>
    public bool Poll()
    {
        uint count = port.Receive(_pieces);
        if (count == 0) return false;
        ReceivedAt = Stopwatch.GetTimestamp();
        bool insideFrame = false;
        for (int i = 0; i < count; i++)
        {
            bool more = (_pieces[i].Flags & NetFlags.More) != 0;
            // Nothing that a station wants takes several buffers.
            if (!insideFrame && !more) Accept(port.Data(_pieces[i]));
            insideFrame = more;
            port.Recycle(_pieces[i].Slot);
        }

        port.Flush();
        return true;
    }

    /// <summary>Looks at what comes until something is so.</summary>
    /// <returns>False when the time was over first.</returns>
    /// <exception cref="OperationCanceledException">The user wants to end.</exception>
    public bool PollUntil(Func<bool> done, TimeSpan limit, CancellationToken stop)
    {
        long start = Stopwatch.GetTimestamp();
        while (!done())
        {
            stop.ThrowIfCancellationRequested();
            TimeSpan left = limit - Stopwatch.GetElapsedTime(start);
            if (left <= TimeSpan.Zero) return false;
            if (!Poll()) port.Wait(left < MaxWait ? left : MaxWait);
        }

        return true;
    }

    /// <summary>Longest sleep between two looks at whether the user wants to end.</summary>
    public static TimeSpan MaxWait { get; } = TimeSpan.FromMilliseconds(100);

    /// <summary>Sends a frame, padded as Ethernet wants it. <see cref="NetworkPort.Flush"/> is left to the caller.</summary>
    /// <returns>False where every buffer is with the driver.</returns>
    public bool TrySend(ReadOnlySpan<byte> frame)
    {
        if (!port.TryRent(out uint slot)) return false;
        int length = Math.Max(frame.Length, EthernetFrame.MinBytes);
        Span<byte> memory = port.TxMemory(slot)[..length];
        frame.CopyTo(memory);
        memory[frame.Length..].Clear();
        port.Send(slot, (uint)length);
        return true;
    }

    /// <summary>Asks who has an address.</summary>
    public void SendArpRequest(Ipv4Address target)
        => SendArp(EthernetFrame.BroadcastMac, new ArpPacket(ArpOperation.Request, Mac, Configuration?.Address ?? Ipv4Address.Any, default, target));

    /// <summary>Broadcasts a client's DHCP message.</summary>
    public void SendDhcp(DhcpMessage message)
    {
        Span<byte> frame = stackalloc byte[EthernetFrame.HeaderBytes + Ipv4Packet.HeaderBytes + UdpDatagram.HeaderBytes + DhcpMessage.MaxBytes];
        Span<byte> packet = EthernetFrame.Write(frame, EthernetFrame.BroadcastMac, Mac, EtherType.Ipv4);
        Span<byte> datagram = Ipv4Packet.Write(packet, IpProtocol.Udp, Ipv4Address.Any, Ipv4Address.Broadcast, UdpDatagram.HeaderBytes + DhcpMessage.MaxBytes);
        message.Write(datagram[UdpDatagram.HeaderBytes..]);
        UdpDatagram.Write(datagram, Ipv4Address.Any, DhcpMessage.ClientPort, Ipv4Address.Broadcast, DhcpMessage.ServerPort);
        TrySend(frame);
        port.Flush();
    }

    private void SendArp(in MacAddress to, in ArpPacket packet)
    {
        Span<byte> frame = stackalloc byte[EthernetFrame.HeaderBytes + ArpPacket.Bytes];
        packet.Write(EthernetFrame.Write(frame, to, Mac, EtherType.Arp));
        TrySend(frame);
        port.Flush();
    }

    private void Accept(ReadOnlySpan<byte> bytes)
    {
        if (!EthernetFrame.TryParse(bytes, out EthernetFrame frame)) return;
        if (frame.Type == EtherType.Arp && ArpPacket.TryParse(frame.Payload, out ArpPacket arp)) AcceptArp(arp);
        else if (frame.Type == EtherType.Ipv4 && Ipv4Packet.TryParse(frame.Payload, out Ipv4Packet packet)) AcceptIpv4(packet);
    }

    private void AcceptArp(in ArpPacket arp)
    {
        if (arp.Operation == ArpOperation.Request && Configuration is { } own && arp.Target == own.Address)
            SendArp(arp.SenderMac, new ArpPacket(ArpOperation.Reply, Mac, own.Address, arp.SenderMac, arp.Sender));
        OnArp?.Invoke(arp);
    }

    private void AcceptIpv4(in Ipv4Packet packet)
    {
        if (packet.Protocol == IpProtocol.Icmp && packet.Destination == Configuration?.Address && IcmpEcho.TryParse(packet.Payload, out IcmpEcho echo))
            OnEcho?.Invoke(packet, echo);
        else if (UdpDatagram.TryParse(packet, out UdpDatagram datagram) && datagram.DestinationPort == DhcpMessage.ClientPort
            && OnDhcp is { } handler && DhcpMessage.TryParse(datagram.Payload) is { } message)
            handler(message);
    }
}
