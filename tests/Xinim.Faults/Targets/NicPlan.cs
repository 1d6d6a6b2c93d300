using Xinim.Faults.Traffic;

namespace Xinim.Faults.Targets;

/// <summary>A NIC that a daemon is to serve for a campaign.</summary>
/// <param name="Device">As in the daemon's configuration.</param>
/// <param name="Driver">Name of the driver's manifest.</param>
/// <param name="Netdev">QEMU's, for a device model.</param>
/// <param name="Line">The other end of its cable, opened once the daemon runs; null for a NIC that is itself the other end of one.</param>
internal sealed record NicPlan(string Name, string Device, string Driver, string? Netdev, Func<DaemonTarget, ILine>? Line)
{
    private const string PeerName = "peer0";

    /// <summary>The NICs of a target.</summary>
    /// <param name="both">With one for the faulty driver.</param>
    public static IReadOnlyList<NicPlan> For(FaultsOptions options, bool both)
    {
        if (options.Target != "vfio") return [Remote("net0", DaemonTarget.ProductDriver), .. both ? [Remote("net1", DaemonTarget.FaultyDriver)] : Array.Empty<NicPlan>()];
        string[] addresses = options.Device.Split(',');
        if (addresses.Length != 2) throw new CampaignException($"--device {options.Device}: name two NICs whose cables are connected, such as 0000:00:02.0,0000:00:03.0");
        return
        [
            new NicPlan("net0", addresses[0], DaemonTarget.ProductDriver, null, daemon => new PortLine(PeerName, daemon.Socket)),
            new NicPlan(PeerName, addresses[1], DaemonTarget.ProductDriver, null, null),
        ];

        NicPlan Remote(string name, string driver)
        {
            UdpLine line = new();
            return new NicPlan(name, options.Device, driver, line.Netdev, _ => line);
        }
    }
}
