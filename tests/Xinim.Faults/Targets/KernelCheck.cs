using Xinim.Faults.Campaigns;
using Xinim.Faults.Traffic;
using Xinim.TestKit.Block;

namespace Xinim.Faults.Targets;

/// <summary>What clients have written to a disk on VFIO, read once more by the kernel's own driver when the daemon has given it back: nothing of ours has a part in that.</summary>
internal static class KernelCheck
{
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(60);

    /// <param name="address">Of the function.</param>
    /// <param name="load">Its client, which has ended.</param>
    /// <returns>A line for the user.</returns>
    public static string Run(string address, DeviceKind kind, DiskWorkload load, Ledger ledger)
    {
        string node = KernelDisk.Take(address, s_limit, kind == DeviceKind.Ahci ? ["ahci", "sd_mod"] : ["virtio_blk"]);
        using FileStream disk = File.OpenRead(node);
        byte[] contents = new byte[load.Bytes];
        disk.ReadExactly(contents);
        (int count, IReadOnlyList<ulong> missing) = load.Compare(contents);
        ledger.Require(count != 0, node, "no write was acknowledged that could be checked");
        foreach (ulong lba in missing) ledger.Breach($"{node}: block {lba} is not what was acknowledged as written there last");
        return $"the kernel's driver reads {count:N0} blocks of {address}: {(missing.Count == 0 ? "all" : $"{count - missing.Count:N0}")} as acknowledged last";
    }
}
