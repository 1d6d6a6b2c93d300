using Xinim.Ipc.Memory;
using Xinim.Vfio.Dma;
using Xinim.Vfio.Registers;
using Xinim.Vfio.Vfio;
using Xunit;

namespace Xinim.Lab.Tests.Vfio;

/// <summary>
/// The memcpy scenarios of Linux's vfio_pci_driver_test.c: an 82540EM in loopback copies frames, and does so into and out of memory that it
/// was not given. What an IOMMU is for.
/// </summary>
[Collection(nameof(VfioLab))]
public sealed class VfioDmaTests : IDisposable
{
    private const int FrameBytes = 512;
    private readonly LabDevice _lab = LabDevice.TakeE1000();
    private readonly VfioBackend _backend;
    private readonly VfioPciDevice _device;
    private readonly SharedRegion _rings;
    private readonly SharedRegion _data;
    private readonly Iova _ringsAt;
    private readonly RawE1000 _nic;

    public VfioDmaTests()
    {
        _backend = _lab.Open();
        _device = LabDevice.DriverOf(_backend);
        _rings = SharedRegion.Create("xinim-rings", 2 << 20);
        _data = SharedRegion.Create("xinim-data", 2 << 20);
        _ringsAt = _backend.Map(_rings, RegionAccess.ReadWrite);
        _nic = new RawE1000(_device);
    }

    private DmaArena Arena => new(new DmaRegion(1, _ringsAt, _rings.Size, RegionAccess.ReadWrite, _rings));

    [Fact]
    public void Memcpy_success_and_storm()
    {
        Iova data = _backend.Map(_data, RegionAccess.ReadWrite);
        Start();
        for (uint round = 0; round < 200; round++) AssertCopies(data, (byte)round);
    }

    [Fact]
    public void Memcpy_from_end_to_end_of_a_page_of_1_GiB()
    {
        // Of 4 GiB two whole ones are memory: one has the kernel's page structs, the other its slabs and the smaller huge pages.
        Assert.SkipUnless(GC.GetGCMemoryInfo().TotalAvailableMemoryBytes > 5L << 30, "needs a machine of 6 GiB: scripts/lab.sh --memory 6G");
        HugePages pools = new();
        long before = pools.Read().Single(pool => pool.PageSize == HugePages.OneGiB).Total;
        try
        {
            HugePageReservation reserved = pools.Reserve(1, HugePages.OneGiB);
            Assert.Null(reserved.Reason);
            using SharedRegion page = SharedRegion.Create("xinim-giant", 3 << 20, PageChoice.Huge1GiB);
            Assert.Equal((1 << 30, 1L << 30, null), (page.PageSize, page.Size, page.FallbackReason));
            Assert.Equal(reserved.Pool.Free - 1, pools.Read().Single(pool => pool.PageSize == HugePages.OneGiB).Free);

            Iova start = _backend.Map(page, RegionAccess.ReadWrite);
            Assert.Equal(0ul, start.Value % (1 << 30));
            Start();
            page.Slice(0, FrameBytes).Fill(0x1b);
            Assert.True(_nic.TryCopy(start, start + (ulong)(page.Size - FrameBytes), FrameBytes), "no transmit descriptor written back");
            Assert.True(_nic.Received(), "no receive descriptor written back");
            Assert.True(page.Slice(page.Size - FrameBytes, FrameBytes).SequenceEqual(page.Slice(0, FrameBytes)));
            _backend.ClearBusMaster();
            _backend.Unmap(start, page.Size);
        }
        finally
        {
            File.WriteAllText("/sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages", $"{before}");
        }
    }

    [Fact]
    public void Memcpy_from_an_unmapped_IOVA_brings_nothing_and_the_device_recovers()
    {
        Iova data = _backend.Map(_data, RegionAccess.ReadWrite);
        Start();
        AssertCopies(data, 0x5a);

        // Where 0x5a was read from a moment ago; the memory is still there and still holds it.
        _backend.Unmap(data, _data.Size);
        Iova target = _ringsAt + (1 << 20);
        _nic.TryCopy(data, target, FrameBytes);
        Thread.Sleep(50);
        Assert.DoesNotContain((byte)0x5a, _rings.Slice(1 << 20, FrameBytes).ToArray());

        Iova again = _backend.Map(_data, RegionAccess.ReadWrite);
        Start();
        AssertCopies(again, 0x77);
    }

    [Fact]
    public void Memcpy_to_an_unmapped_IOVA_corrupts_nothing_and_the_device_recovers()
    {
        Iova data = _backend.Map(_data, RegionAccess.ReadWrite);
        Start();
        AssertCopies(data, 0x11);

        // The very memory that the device wrote to a moment ago, taken away: it is still ours, so that a write would be seen.
        _backend.Unmap(data, _data.Size);
        Iova source = _ringsAt + (1 << 20);
        _rings.Slice(1 << 20, FrameBytes).Fill(0x99);
        byte[] before = _data.Slice(0, (int)_data.Size).ToArray();
        _nic.TryCopy(source, data + 4096, FrameBytes);
        Thread.Sleep(50);
        Assert.True(_data.Slice(0, (int)_data.Size).SequenceEqual(before), "the device wrote to memory that was taken away from it");
        Assert.Contains("DMAR", LabDevice.Shell("dmesg"), StringComparison.Ordinal);

        Iova again = _backend.Map(_data, RegionAccess.ReadWrite);
        Start();
        AssertCopies(again, 0x22);
    }

    [Fact]
    public void A_region_mapped_for_reading_is_read_and_never_written()
    {
        Iova data = _backend.Map(_data, RegionAccess.Read);
        Start();
        Fill(0x33);
        // Read from it: fine.
        Assert.True(_nic.TryCopy(data, _ringsAt + (1 << 20), FrameBytes));
        Assert.True(_nic.Received());
        Assert.Equal(0x33, _rings.Slice(1 << 20, FrameBytes)[100]);
        // Write to it: stopped.
        byte[] before = _data.Slice(0, (int)_data.Size).ToArray();
        _nic.TryCopy(_ringsAt + (1 << 20), data + 4096, FrameBytes);
        Thread.Sleep(50);
        Assert.True(_data.Slice(0, (int)_data.Size).SequenceEqual(before), "the device wrote to a read-only region");
    }

    [Fact]
    public void Without_bus_mastering_nothing_moves()
    {
        Iova data = _backend.Map(_data, RegionAccess.ReadWrite);
        Start();
        AssertCopies(data, 0x44);
        _backend.DisableInterrupts();
        _backend.ClearBusMaster();
        Fill(0x55);
        Assert.False(_nic.TryCopy(data, data + 4096, FrameBytes));
        Assert.DoesNotContain((byte)0x55, _data.Slice(4096, FrameBytes).ToArray());
        Start();
        AssertCopies(data, 0x66);
    }

    public void Dispose()
    {
        _device.Dispose();
        _backend.Dispose();
        _rings.Dispose();
        _data.Dispose();
        _lab.Dispose();
    }

    private void Start()
    {
        _nic.Start(Arena);
        Wait.Until(() => _nic.LinkIsUp, TimeSpan.FromSeconds(5), "STATUS.LU", TimeSpan.FromMilliseconds(5));
        // QEMU receives nothing in the first second after RCTL was written (hw/net/e1000.c, flush_queue_timer).
        Thread.Sleep(1100);
    }

    private void Fill(byte value)
    {
        _data.Slice(0, FrameBytes).Fill(value);
        _data.Slice(4096, FrameBytes).Clear();
    }

    private void AssertCopies(Iova data, byte value)
    {
        Fill(value);
        _data.Slice(20, 4).Fill((byte)~value);
        Assert.True(_nic.TryCopy(data, data + 4096, FrameBytes), "no transmit descriptor written back");
        Assert.True(_nic.Received(), "no receive descriptor written back");
        Assert.True(_data.Slice(4096, FrameBytes).SequenceEqual(_data.Slice(0, FrameBytes)));
    }
}
