using System.Buffers.Binary;
using CsCheck;
using Xinim.Ipc;
using Xinim.Vfio.Dma;
using Xinim.Vfio.Vfio;
using Xunit;

namespace Xinim.Vfio.Tests.Vfio;

/// <summary>What the kernel answers, as bytes.</summary>
public sealed class VfioAnswersTests
{
    [Fact]
    public void The_IOMMU_tells_pages_ranges_and_slots()
    {
        IommuInfo info = IommuInfo.Parse(Bytes(
            [104u, 3u, 0x40201000u, 0u, 24u, 0u],
            [0x0001_0001u, 72u, 2u, 0u, 0u, 0u, 0xfedfffffu, 0u, 0xfef00000u, 0u, 0xffffffffu, 0x7fu],
            [0x0001_0003u, 0u, 65535u]));
        Assert.Equal(0x40201000ul, info.PageSizes);
        Assert.Equal(4096ul, info.SmallestPage);
        Assert.Equal([new IovaRange(0, 0xfedfffff), new IovaRange(0xfef00000, 0x7f_ffff_ffff)], info.Ranges);
        Assert.Equal(65535u, info.MappingsAvailable);
    }

    [Fact]
    public void An_old_kernel_without_capabilities_gets_a_cautious_guess()
    {
        IommuInfo info = IommuInfo.Parse(Bytes([24u, 1u, 0x1000u, 0u, 0u, 0u]));
        Assert.Null(info.MappingsAvailable);
        Assert.DoesNotContain(info.Ranges, range => range.First <= 0xfee0_0000 && 0xfee0_0000 <= range.Last);
        Assert.Equal(4096ul, (info with { PageSizes = 0 }).SmallestPage);
    }

    [Fact]
    public void A_region_is_mappable_whole_in_parts_or_not()
    {
        Assert.True(VfioRegion.Parse(Bytes([32u, 7u, 0u, 0u, 0x20000u, 0u, 0u, 0u])).CanMapWhole);
        Assert.False(VfioRegion.Parse(Bytes([32u, 3u, 1u, 0u, 0x40u, 0u, 0u, 1u])) is { CanMapWhole: true });
        VfioRegion sparse = VfioRegion.Parse(Bytes([64u, 15u, 3u, 32u, 0x4000u, 0u, 0u, 3u], [0x0001_0001u, 0u, 1u, 0u, 0x1000u, 0u, 0x3000u, 0u]));
        Assert.Equal([(0x1000ul, 0x3000ul)], sparse.Mappable);
        Assert.False(sparse.CanMapWhole);
        Assert.Equal((3u, 0x4000ul, 0x3_0000_0000ul), (sparse.Index, sparse.Size, sparse.Offset));
        // MSI-X mappable (3) says that there is no restriction.
        Assert.True(VfioRegion.Parse(Bytes([40u, 15u, 3u, 32u, 0x4000u, 0u, 0u, 3u], [0x0001_0003u, 0u])).CanMapWhole);
    }

    [Fact]
    public void Any_chain_ends_and_stays_inside() => Gen.Byte.Array[24, 200].Sample(answer =>
    {
        answer[4] = 3;
        answer[5] = answer[6] = answer[7] = 0;
        _ = IommuInfo.Parse(answer);
        if (answer.Length >= 32)
        {
            answer[4] = 15;
            _ = VfioRegion.Parse(answer);
        }
    }, iter: 20_000);

    [Fact]
    public void Locked_memory_is_checked_against_the_limit_unless_exempt()
    {
        string directory = Directory.CreateTempSubdirectory("xinim-proc-").FullName;
        File.WriteAllText(Path.Combine(directory, "limits"), "Limit                     Soft Limit           Hard Limit           Units\nMax locked memory         8388608              8388608              bytes\n");
        File.WriteAllText(Path.Combine(directory, "status"), "Name:\tx\nVmLck:\t    4096 kB\nCapEff:\t0000000000000000\n");
        LockedMemory memory = LockedMemory.Read(directory);
        Assert.Equal(new LockedMemory(8 << 20, 4 << 20, false), memory);
        memory.Require(4 << 20, "a region");
        string refused = Assert.Throws<LinuxException>(() => memory.Require((4 << 20) + 1, "a region")).Message;
        Assert.Contains("LimitMEMLOCK=infinity", refused, StringComparison.Ordinal);
        Assert.Contains("8 MiB are allowed and 4 MiB in use", refused, StringComparison.Ordinal);

        File.WriteAllText(Path.Combine(directory, "status"), "VmLck:\t4096 kB\nCapEff:\t0000000000004000\n");
        LockedMemory.Read(directory).Require(1UL << 40, "a region");
        File.WriteAllText(Path.Combine(directory, "status"), "CapEff:\t0000003fffffbfff\n");
        Assert.False(LockedMemory.Read(directory).Exempt);
        File.WriteAllText(Path.Combine(directory, "limits"), "Max locked memory         unlimited            unlimited            bytes\n");
        LockedMemory.Read(directory).Require(1UL << 40, "a region");
        Directory.Delete(directory, recursive: true);
    }

    private static byte[] Bytes(params uint[][] words)
    {
        uint[] all = [.. words.SelectMany(part => part)];
        byte[] bytes = new byte[all.Length * 4];
        for (int i = 0; i < all.Length; i++) BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(i * 4), all[i]);
        return bytes;
    }
}
