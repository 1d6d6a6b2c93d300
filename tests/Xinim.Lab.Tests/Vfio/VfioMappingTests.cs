using System.Globalization;
using Xinim.Ipc;
using Xinim.Ipc.Memory;
using Xinim.Vfio.Dma;
using Xinim.Vfio.Vfio;
using Xunit;

namespace Xinim.Lab.Tests.Vfio;

/// <summary>The scenarios of Linux's tools/testing/selftests/vfio/vfio_dma_mapping_test.c, by their names, and the limits.</summary>
[Collection(nameof(VfioLab))]
public sealed class VfioMappingTests
{
    private const ulong Page = 4096;
    private const string EntryLimit = "/sys/module/vfio_iommu_type1/parameters/dma_entry_limit";

    [Theory]
    [InlineData(PageChoice.Ordinary, 4096)]
    [InlineData(PageChoice.Huge2MiB, 2 << 20)]
    public void Dma_map_unmap(PageChoice pages, int pageSize)
    {
        using LabDevice lab = LabDevice.TakeE1000();
        using VfioBackend backend = lab.Open();
        using SharedRegion region = SharedRegion.Create("xinim-test", pageSize, pages);
        Assert.Equal(pageSize, region.PageSize);
        uint before = backend.Container!.GetInfo().MappingsAvailable!.Value;

        Iova start = backend.Map(region, RegionAccess.ReadWrite);
        Assert.Equal(0ul, start.Value % (ulong)pageSize);
        Assert.Equal(before - 1, backend.Container.GetInfo().MappingsAvailable);
        Assert.Contains(backend.Container.GetInfo().Ranges, range => start.Value >= range.First && start.Value + (ulong)region.Size - 1 <= range.Last);

        Assert.Throws<ArgumentException>(() => backend.Unmap(start, region.Size / 2));
        Assert.Throws<ArgumentException>(() => backend.Unmap(start + Page, region.Size));
        backend.Unmap(start, region.Size);
        Assert.Equal(before, backend.Container.GetInfo().MappingsAvailable);
        Assert.Throws<ArgumentException>(() => backend.Unmap(start, region.Size));
        Assert.Equal(start, backend.Map(region, RegionAccess.Read));
    }

    [Fact]
    public void Unmap_range_at_the_last_page()
    {
        using LabDevice lab = LabDevice.TakeE1000();
        using VfioBackend backend = lab.Open();
        using SharedRegion region = SharedRegion.Create("xinim-test", (long)Page, PageChoice.Ordinary);
        Iova last = LastPage(backend);
        backend.Container!.Map(region.Address, last, Page, RegionAccess.ReadWrite);
        backend.Container.Unmap(last, Page);
        Assert.Throws<LinuxException>(() => backend.Container.Unmap(last, Page));
    }

    [Fact]
    public void Unmap_all()
    {
        using LabDevice lab = LabDevice.TakeE1000();
        using VfioBackend backend = lab.Open();
        using SharedRegion region = SharedRegion.Create("xinim-test", (long)Page, PageChoice.Ordinary);
        backend.Container!.Map(region.Address, LastPage(backend), Page, RegionAccess.ReadWrite);
        backend.Container.Map(region.Address, new Iova(1 << 20), Page, RegionAccess.Read);
        Assert.Equal(2 * Page, backend.Container.UnmapAll());
        Assert.Equal(0ul, backend.Container.UnmapAll());
    }

    [Fact]
    public void Overflow_and_what_lies_outside_the_ranges_is_refused()
    {
        using LabDevice lab = LabDevice.TakeE1000();
        using VfioBackend backend = lab.Open();
        using SharedRegion region = SharedRegion.Create("xinim-test", 2 * (long)Page, PageChoice.Ordinary);
        Iova top = new(ulong.MaxValue & ~(Page - 1));
        Assert.Throws<LinuxException>(() => backend.Container!.Map(region.Address, top, 2 * Page, RegionAccess.ReadWrite));
        Assert.Throws<LinuxException>(() => backend.Container!.Unmap(top, 2 * Page));
        // The window of interrupt messages, which VT-d does not translate.
        LinuxException window = Assert.Throws<LinuxException>(() => backend.Container!.Map(region.Address, new Iova(0xfee0_0000), Page, RegionAccess.ReadWrite));
        Assert.Contains("outside the addresses", window.Message, StringComparison.Ordinal);
        Assert.DoesNotContain(backend.Container!.GetInfo().Ranges, range => range.First <= 0xfee0_0000 && 0xfee0_0000 <= range.Last);
    }

    [Fact]
    public void Running_out_of_mapping_slots_is_said_before_it_bites()
    {
        using LabDevice lab = LabDevice.TakeE1000();
        string before = File.ReadAllText(EntryLimit);
        List<SharedRegion> regions = [];
        try
        {
            File.WriteAllText(EntryLimit, "3");
            using VfioBackend backend = lab.Open();
            for (int i = 0; i < 4; i++) regions.Add(SharedRegion.Create(string.Create(CultureInfo.InvariantCulture, $"xinim-test-{i}"), (long)Page, PageChoice.Ordinary));
            for (int i = 0; i < 3; i++) backend.Map(regions[i], RegionAccess.ReadWrite);
            LinuxException refused = Assert.Throws<LinuxException>(() => backend.Map(regions[3], RegionAccess.ReadWrite));
            Assert.Contains("dma_entry_limit", refused.Message, StringComparison.Ordinal);
            Assert.Equal(0, refused.Errno);
        }
        finally
        {
            File.WriteAllText(EntryLimit, before);
            foreach (SharedRegion region in regions) region.Dispose();
        }
    }

    [Fact]
    public void A_region_is_mapped_with_the_access_asked_for_or_not_at_all()
    {
        using LabDevice lab = LabDevice.TakeE1000();
        using VfioBackend backend = lab.Open();
        using SharedRegion region = SharedRegion.Create("xinim-test", (long)Page, PageChoice.Ordinary);
        Assert.Throws<ArgumentOutOfRangeException>(() => backend.Map(region, RegionAccess.None));
        Assert.Throws<ArgumentOutOfRangeException>(() => backend.Map(region, (RegionAccess)4));
    }

    private static Iova LastPage(VfioBackend backend) => new(backend.Container!.GetInfo().Ranges[^1].Last & ~(Page - 1));
}
