using Xinim.Ipc.Protocols;
using Xinim.Net.Ports;

namespace Xinim.Net.Ip;

/// <summary>What a station asks its network before it can talk: its own address, and the hardware address of its next hop.</summary>
public static class StationSetup
{
    private static readonly TimeSpan LeaseLimit = TimeSpan.FromSeconds(15);
    private static readonly TimeSpan ArpTry = TimeSpan.FromSeconds(1);
    private const int ArpTries = 3;

    /// <summary>Gets an address by DHCP, and takes it. Repeats after 1, 2, 4 … seconds (RFC 2131, section 4.1, without its longer start).</summary>
    /// <exception cref="NetworkPortException">No server answered.</exception>
    public static Ipv4Configuration Lease(Ipv4Station station, CancellationToken stop)
    {
        DhcpClient client = new(station.Mac, (uint)Random.Shared.NextInt64(1, uint.MaxValue));
        bool changed = false;
        station.OnDhcp = message => changed |= client.Receive(message);
        TimeSpan wait = TimeSpan.FromSeconds(1);
        for (TimeSpan waited = TimeSpan.Zero; waited < LeaseLimit;)
        {
            changed = false;
            station.SendDhcp(client.Next);
            if (!station.PollUntil(() => changed, wait, stop))
            {
                waited += wait;
                wait *= 2;
            }

            if (client.Lease is not { } lease) continue;
            station.OnDhcp = null;
            station.Configuration = lease;
            return lease;
        }

        throw new NetworkPortException($"no DHCP server answered within {LeaseLimit.TotalSeconds:0} s (link {station.Port.Link}); give an address with --source");
    }

    /// <summary>Finds the hardware address to send a host's packets to: its own or its gateway's.</summary>
    /// <exception cref="NetworkPortException">There is no way to it, or nobody answered.</exception>
    public static MacAddress Resolve(Ipv4Station station, Ipv4Address host, CancellationToken stop)
    {
        Ipv4Configuration own = station.Configuration ?? throw new InvalidOperationException("the station has no address yet");
        Ipv4Address hop = own.NextHop(host)
            ?? throw new NetworkPortException($"{host} is not in the network of {own.Address}/{own.PrefixLength}, and there is no gateway; name one with --gateway");
        MacAddress? found = null;
        station.OnArp = arp =>
        {
            if (arp.Sender == hop && !arp.SenderMac.IsMulticast) found = arp.SenderMac;
        };
        for (int i = 0; i < ArpTries && found is null; i++)
        {
            station.SendArpRequest(hop);
            station.PollUntil(() => found is not null, ArpTry, stop);
        }

        station.OnArp = null;
        string who = hop == host ? $"{host}" : $"the gateway {hop}";
        return found ?? throw new NetworkPortException($"{who} does not answer ARP (link {station.Port.Link}, own address {own})");
    }
}
