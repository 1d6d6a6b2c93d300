using System.Globalization;
using Xinim.Ipc.Protocols;

namespace Xinim.Supervisor.Status;

/// <summary>What a report says of a disk.</summary>
public sealed record BlockReport(ulong Bytes, ulong Blocks, uint BlockBytes, uint PhysicalBlockBytes, bool ReadOnly, bool WriteCache, string Serial, string Model)
{
    /// <summary>What it can do, by name.</summary>
    public required IReadOnlyList<string> Features { get; init; }

    public required uint MaxRequestBytes { get; init; }

    public required uint MaxSegments { get; init; }

    public required uint QueueDepth { get; init; }

    public required uint Queues { get; init; }

    /// <summary>Bytes with a decimal prefix, as disks are sold: 512 B, 8.59 GB.</summary>
    public static string Size(ulong bytes)
    {
        string[] units = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
        double value = bytes;
        int unit = 0;
        for (; value >= 999.5 && unit < units.Length - 1; unit++) value /= 1000;
        return string.Create(CultureInfo.InvariantCulture, $"{(unit == 0 ? bytes : Math.Round(value, value < 10 ? 2 : value < 100 ? 1 : 0))} {units[unit]}");
    }

    private static readonly (BlockFeatures Feature, string Name)[] Names =
    [
        (BlockFeatures.Flush, "flush"), (BlockFeatures.Fua, "fua"), (BlockFeatures.WriteCacheSwitch, "write-cache-switch"), (BlockFeatures.Discard, "discard"),
        (BlockFeatures.WriteZeroes, "write-zeroes"), (BlockFeatures.ZeroesMayUnmap, "zeroes-may-unmap"), (BlockFeatures.Rotational, "rotational"), (BlockFeatures.Removable, "removable"),
    ];

    internal static BlockReport Of(BlockDeviceInfo info) => new(
        info.Bytes, info.Blocks, info.LogicalBlockBytes, info.PhysicalBlockBytes, info.Has(BlockFeatures.ReadOnly), info.Has(BlockFeatures.WriteCache),
        Clean(info.Serial), Clean(info.Model))
    {
        Features = [.. Names.Where(known => (info.Features & known.Feature) != 0).Select(known => known.Name)],
        MaxRequestBytes = info.MaxRequestBytes,
        MaxSegments = info.MaxSegments,
        QueueDepth = info.QueueDepth,
        Queues = info.Queues,
    };

    /// <summary>For the log.</summary>
    internal static string Describe(in BlockDeviceInfo info)
        => $"{Size(info.Bytes)} in blocks of {info.LogicalBlockBytes}{(info.Has(BlockFeatures.ReadOnly) ? ", read-only" : "")}, serial '{Clean(info.Serial)}'";

    /// <summary>What nobody could reckon with: clients trust the supervisor for it.</summary>
    internal static string? Problem(in BlockDeviceInfo info) => info.Has(BlockFeatures.Absent) ? null :
        info.LogicalBlockBytes is < 512 or > 1 << 16 || !uint.IsPow2(info.LogicalBlockBytes) ? $"blocks of {info.LogicalBlockBytes} bytes"
        : info.Blocks > (ulong)long.MaxValue / info.LogicalBlockBytes ? $"{info.Blocks} blocks of {info.LogicalBlockBytes} bytes"
        : info.MaxSegments is 0 or > 1024 ? $"{info.MaxSegments} pieces of memory a request"
        : info.MaxSegmentBytes < info.LogicalBlockBytes ? $"pieces of {info.MaxSegmentBytes} bytes"
        : info.MaxRequestBytes < info.LogicalBlockBytes ? $"requests of {info.MaxRequestBytes} bytes"
        : !uint.IsPow2(info.SegmentAlignment) || info.SegmentAlignment > info.LogicalBlockBytes ? $"memory aligned to {info.SegmentAlignment} bytes"
        : info.QueueDepth == 0 ? "a queue of no requests"
        : null;

    private static string Clean(in FixedText text) => string.Concat(text.ToString().Select(sign => char.IsControl(sign) ? ' ' : sign)).Trim();
}
