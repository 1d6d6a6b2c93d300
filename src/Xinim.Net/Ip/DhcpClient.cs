using Xinim.Ipc.Protocols;

namespace Xinim.Net.Ip;

/// <summary>
/// The client's part of a DHCP exchange up to the lease (RFC 2131, figure 5), without the network: it says what to send and is told what has
/// come. The lease is neither renewed nor given back, so the same station gets the same address again.
/// </summary>
public sealed class DhcpClient(MacAddress mac, uint transaction)
{
    private DhcpMessage? _offer;

    /// <summary>The lease, once there is one.</summary>
    public Ipv4Configuration? Lease { get; private set; }

    /// <summary>What to send now, and again when no answer comes.</summary>
    public DhcpMessage Next => _offer is null
        ? new DhcpMessage { Type = DhcpMessageType.Discover, Transaction = transaction, Client = mac }
        : new DhcpMessage { Type = DhcpMessageType.Request, Transaction = transaction, Client = mac, Requested = _offer.Offered, Server = _offer.Server };

    /// <summary>A message has come; one that is for somebody else or that makes no sense is ignored.</summary>
    /// <returns>True where <see cref="Next"/> or <see cref="Lease"/> has changed.</returns>
    public bool Receive(DhcpMessage message)
    {
        if (Lease is not null || message.Transaction != transaction || !message.Client.Is(mac)) return false;
        switch (message.Type)
        {
            case DhcpMessageType.Offer when _offer is null && message.Offered != Ipv4Address.Any && message.Server is not null:
                _offer = message;
                return true;
            case DhcpMessageType.Nak when _offer is not null:
                _offer = null;
                return true;
            case DhcpMessageType.Ack when _offer is not null && message.Offered == _offer.Offered:
                Lease = new Ipv4Configuration(message.Offered, PrefixOf(message.Mask ?? _offer.Mask), message.Router ?? _offer.Router);
                return true;
            default:
                return false;
        }
    }

    /// <summary>Without a mask that is one, the network is as small as networks mostly are.</summary>
    private static int PrefixOf(Ipv4Address? mask) => (mask is { } given ? Ipv4Configuration.PrefixOf(given) : null) ?? 24;
}
