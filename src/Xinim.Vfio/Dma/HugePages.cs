using System.Globalization;
using Xinim.Ipc;
using Xinim.Vfio.Pci;

namespace Xinim.Vfio.Dma;

/// <summary>Reads and fills the kernel's pools of huge pages.</summary>
/// <param name="sysfsRoot">Where sysfs is mounted.</param>
/// <param name="procRoot">Where procfs is mounted.</param>
/// <param name="write">Writes an attribute (path, text); a fake kernel in tests.</param>
public sealed class HugePages(string sysfsRoot = "/sys", string procRoot = "/proc", Action<string, string>? write = null)
{
    /// <summary>2 MiB, in bytes.</summary>
    public const long TwoMiB = 2L << 20;

    /// <summary>1 GiB, in bytes.</summary>
    public const long OneGiB = 1L << 30;

    private readonly Action<string, string> _write = write ?? SysfsFiles.Write;

    /// <summary>The pools that this kernel has, smaller pages first.</summary>
    /// <param name="node">A NUMA node, or null for the whole machine.</param>
    public IReadOnlyList<HugePagePool> Read(int? node = null)
    {
        long[] sizes = [TwoMiB, OneGiB];
        return [.. sizes.Select(size => TryRead(size, node)).OfType<HugePagePool>()];
    }

    /// <summary>Makes a pool have at least <paramref name="count"/> pages. A larger pool is left alone: others may rely on it.</summary>
    /// <param name="count">Pages.</param>
    /// <param name="pageSize"><see cref="TwoMiB"/> or <see cref="OneGiB"/>.</param>
    /// <param name="node">A NUMA node, or null to let the kernel choose.</param>
    /// <exception cref="LinuxException">No such pool, or not root.</exception>
    public HugePageReservation Reserve(long count, long pageSize = TwoMiB, int? node = null)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        HugePagePool before = Required(pageSize, node);
        if (before.Total < count) _write(Path.Combine(Directory(pageSize, node), "nr_hugepages"), count.ToString(CultureInfo.InvariantCulture));
        HugePagePool now = Required(pageSize, node);
        return new HugePageReservation(count, now, now.Total >= count ? null : Explain(count, now));
    }

    private string Explain(long wanted, HugePagePool pool)
    {
        long missing = wanted - pool.Total;
        string had = string.Create(CultureInfo.InvariantCulture, $"{pool.Total} of {wanted} pages of {pool.PageSize >> 20} MiB could be had");
        string boot = pool.PageSize == OneGiB ? "hugepagesz=1G hugepages=" : "hugepages=";
        string atBoot = string.Create(CultureInfo.InvariantCulture, $"'{boot}{wanted}' on the kernel's command line");
        if (AvailableBytes() is { } available && available / pool.PageSize < missing)
            return string.Create(CultureInfo.InvariantCulture, $"{had}: only {available >> 20} MiB of memory are available; stop something, or reserve at boot with {atBoot}");
        return $"{had}: memory is fragmented; 'echo 1 > /proc/sys/vm/compact_memory' may help, {atBoot} always does";
    }

    private long? AvailableBytes()
    {
        const string label = "MemAvailable:";
        string? line = (SysfsFiles.ReadText(Path.Combine(procRoot, "meminfo")) ?? "").Split('\n')
            .FirstOrDefault(text => text.StartsWith(label, StringComparison.Ordinal));
        string? number = line?[label.Length..].Split(' ', StringSplitOptions.RemoveEmptyEntries).FirstOrDefault();
        return long.TryParse(number, CultureInfo.InvariantCulture, out long kilobytes) ? kilobytes * 1024 : null;
    }

    private HugePagePool Required(long pageSize, int? node) => TryRead(pageSize, node)
        ?? throw new LinuxException($"this machine has no pages of {pageSize >> 20} MiB{(node is { } n ? $" on NUMA node {n}" : "")}");

    private HugePagePool? TryRead(long pageSize, int? node)
    {
        string directory = Directory(pageSize, node);
        return SysfsFiles.ReadNumber(Path.Combine(directory, "nr_hugepages")) is { } total
            && SysfsFiles.ReadNumber(Path.Combine(directory, "free_hugepages")) is { } free
            ? new HugePagePool(pageSize, (long)total, (long)free, node)
            : null;
    }

    private string Directory(long pageSize, int? node)
    {
        string pool = string.Create(CultureInfo.InvariantCulture, $"hugepages/hugepages-{pageSize >> 10}kB");
        return node is { } n
            ? Path.Combine(sysfsRoot, string.Create(CultureInfo.InvariantCulture, $"devices/system/node/node{n}"), pool)
            : Path.Combine(sysfsRoot, "kernel/mm", pool);
    }
}
