using Microsoft.Win32.SafeHandles;
using Xinim.Ipc.Channels;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Native;
using Xinim.Ipc.Tests.Native;
using Xinim.TestPeer;
using Xunit;

namespace Xinim.Ipc.Tests.Memory;

public sealed class SharedRegionTests
{
    private const int Page = 4096;
    private const int Sealed = TestNative.SealGrow | TestNative.SealShrink;

    [Theory]
    [InlineData(1, Page)]
    [InlineData(Page, Page)]
    [InlineData(Page + 1, 2 * Page)]
    [InlineData(10 * Page, 10 * Page)]
    public void Sizes_are_rounded_up_to_whole_pages(long asked, long had)
    {
        using SharedRegion region = SharedRegion.Create("test", asked, PageChoice.Ordinary);
        Assert.Equal(had, region.Size);
        Assert.Equal(Page, region.PageSize);
        Assert.Null(region.FallbackReason);
        Assert.Equal(RegionAccess.ReadWrite, region.Access);
        Assert.Equal(0u, (uint)(region.Address % Page));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    [InlineData(long.MinValue)]
    public void A_size_that_is_none_is_refused(long size) =>
        Assert.Throws<ArgumentOutOfRangeException>(() => SharedRegion.Create("test", size, PageChoice.Ordinary));

    // The largest size on purpose: should the check ever go, this overflows instead of eating the machine's memory.
    [Fact]
    public void More_memory_than_there_is_is_refused_with_name_and_size()
    {
        LinuxException exception = Assert.Throws<LinuxException>(() => SharedRegion.Create("enormous", long.MaxValue, PageChoice.Ordinary));
        Assert.Contains("enormous", exception.Message, StringComparison.Ordinal);
        Assert.Contains($"{long.MaxValue}-byte", exception.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(PageChoice.Huge2MiB, 2 << 20)]
    [InlineData(PageChoice.Huge1GiB, 1 << 30)]
    public void Where_huge_pages_cannot_be_had_the_reason_is_given_and_else_none(PageChoice choice, int pageSize)
    {
        using SharedRegion region = SharedRegion.Create("test", 1, choice);
        Assert.Equal(region.PageSize == pageSize, region.FallbackReason is null);
        Assert.Equal(region.PageSize, region.Size);
        if (region.FallbackReason is not { } reason) return;
        Assert.Contains($"{pageSize >> 10} KiB", reason, StringComparison.Ordinal);
        Assert.Contains("xinim hugepages", reason, StringComparison.Ordinal);
    }

    [Fact]
    public void A_fresh_region_is_zero()
    {
        using SharedRegion region = SharedRegion.Create("test", 4 * Page, PageChoice.Ordinary);
        Assert.True(region.Slice(0, 4 * Page).IndexOfAnyExcept((byte)0) < 0);
    }

    [Fact]
    public void A_region_cannot_be_resized_nor_its_seals_be_added_to()
    {
        using SharedRegion region = SharedRegion.Create("test", 4 * Page, PageChoice.Ordinary);
        Assert.False(TestNative.Resize(region.Handle, Page));
        Assert.False(TestNative.Resize(region.Handle, 8 * Page));
        Assert.False(TestNative.Seal(region.Handle, 8));
        Assert.True(TestNative.Resize(region.Handle, 4 * Page));
    }

    [Fact]
    public void Both_mappings_of_a_region_show_the_same_memory()
    {
        using SharedRegion region = SharedRegion.Create("test", 2 * Page, PageChoice.Ordinary);
        using SharedRegion other = SharedRegion.Open(Descriptor.Duplicate(region.Handle), region.Size, RegionAccess.Read);
        region.At<ulong>(Page + 8) = 0x1122334455667788;
        Assert.Equal(0x1122334455667788u, other.At<ulong>(Page + 8));
        Assert.Equal(RegionAccess.Read, other.Access);
        Assert.Equal(Page, other.PageSize);
        Assert.NotEqual(region.Address, other.Address);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(TestNative.SealSeal)]
    [InlineData(TestNative.SealGrow)]
    [InlineData(TestNative.SealShrink)]
    [InlineData(TestNative.SealShrink | TestNative.SealSeal)]
    public void A_region_that_can_be_resized_is_refused_and_closed(int seals)
    {
        SafeFileHandle handle = TestNative.MakeMemoryFile(Page, seals);
        LinuxException exception = Assert.Throws<LinuxException>(() => SharedRegion.Open(handle, Page, RegionAccess.ReadWrite));
        Assert.Contains("resized", exception.Message, StringComparison.Ordinal);
        Assert.True(handle.IsClosed);
    }

    [Theory]
    [InlineData(Page - 1)]
    [InlineData(Page + 1)]
    [InlineData(2 * Page)]
    [InlineData(0)]
    [InlineData(-Page)]
    [InlineData(long.MaxValue)]
    public void A_size_other_than_announced_is_refused(long announced)
    {
        SafeFileHandle handle = TestNative.MakeMemoryFile(Page, Sealed);
        Assert.Throws<LinuxException>(() => SharedRegion.Open(handle, announced, RegionAccess.ReadWrite));
        Assert.True(handle.IsClosed);
    }

    [Fact]
    public void An_empty_memfd_is_refused()
    {
        SafeFileHandle handle = TestNative.MakeMemoryFile(0, Sealed);
        Assert.Throws<LinuxException>(() => SharedRegion.Open(handle, 0, RegionAccess.ReadWrite));
    }

    [Theory]
    [InlineData("/dev/null")]
    [InlineData("/proc/self/maps")]
    [InlineData("/proc/self/exe")]
    public void What_is_no_memfd_is_refused(string path)
    {
        SafeFileHandle handle = File.OpenHandle(path);
        LinuxException exception = Assert.Throws<LinuxException>(() => SharedRegion.Open(handle, Page, RegionAccess.Read));
        Assert.Contains("not a memfd", exception.Message, StringComparison.Ordinal);
        Assert.True(handle.IsClosed);
    }

    [Fact]
    public void An_event_and_a_socket_are_refused()
    {
        (Channel first, Channel second) = Channel.CreatePair();
        using (second) Assert.Throws<LinuxException>(() => SharedRegion.Open(first.Handle, Page, RegionAccess.Read));
        Assert.Throws<LinuxException>(() => SharedRegion.Open(Descriptor.CreateEvent(), Page, RegionAccess.Read));
    }

    [Theory]
    [InlineData(-1, 1)]
    [InlineData(0, -1)]
    [InlineData(0, Page + 1)]
    [InlineData(Page, 1)]
    [InlineData(Page - 1, 2)]
    [InlineData(long.MaxValue, 1)]
    [InlineData(long.MinValue, 1)]
    [InlineData(long.MaxValue, int.MaxValue)]
    public void A_slice_cannot_leave_the_region(long offset, int length)
    {
        using SharedRegion region = SharedRegion.Create("test", Page, PageChoice.Ordinary);
        Assert.Throws<ArgumentOutOfRangeException>(() => region.Slice(offset, length).Length);
    }

    [Theory]
    [InlineData(Page - 7)]
    [InlineData(Page - 4)]
    [InlineData(4)]
    [InlineData(1)]
    [InlineData(-8)]
    [InlineData(long.MaxValue - 7)]
    public void An_element_cannot_leave_the_region_nor_be_unaligned(long offset)
    {
        using SharedRegion region = SharedRegion.Create("test", Page, PageChoice.Ordinary);
        Assert.Throws<ArgumentOutOfRangeException>(() => region.At<ulong>(offset));
    }

    [Fact]
    public void The_last_byte_can_be_reached()
    {
        using SharedRegion region = SharedRegion.Create("test", Page, PageChoice.Ordinary);
        region.At<ulong>(Page - 8) = ulong.MaxValue;
        Assert.Equal(255, region.Slice(Page - 1, 1)[0]);
        Assert.Equal(0, region.Slice(Page, 0).Length);
    }

    [Fact]
    public void A_disposed_region_is_refused_and_its_descriptor_is_closed()
    {
        SharedRegion region = SharedRegion.Create("test", Page, PageChoice.Ordinary);
        region.Dispose();
        region.Dispose();
        Assert.True(region.Handle.IsClosed);
        Assert.Throws<ObjectDisposedException>(() => region.At<uint>(0));
    }

    [Fact]
    public void A_peer_that_writes_to_what_it_may_only_read_dies()
    {
        using SharedRegion region = SharedRegion.Create("test", Page, PageChoice.Ordinary);
        region.At<uint>(0) = 17;
        using PeerProcess peer = PeerProcess.Start("write-read-only");
        peer.Channel.Send(new MessageHeader((uint)PeerMessage.Region, 0, 0), region.Size, region.Handle);
        using ChannelMessage report = peer.Channel.Receive(PeerProcess.Limit);
        Assert.Equal("read 17", report.Text);
        Assert.True(peer.Process.WaitForExit(PeerProcess.Limit));
        // SIGSEGV, which the runtime turns into SIGABRT after its message.
        Assert.True(peer.Process.Exit is { Signal: 6 or 11 }, $"the peer ended otherwise: {peer.Process.Exit}");
        Assert.Equal(17u, region.At<uint>(0));
    }
}
