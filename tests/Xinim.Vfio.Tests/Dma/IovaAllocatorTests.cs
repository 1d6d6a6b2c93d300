using CsCheck;
using Xinim.Ipc;
using Xinim.Vfio.Dma;
using Xunit;

namespace Xinim.Vfio.Tests.Dma;

public sealed class IovaAllocatorTests
{
    private const ulong Page = 4096;
    private static readonly IovaRange[] Usual = [new(0, 0xfedf_ffff), new(0xfef0_0000, (1UL << 39) - 1)];

    [Fact]
    public void Whatever_is_taken_and_given_back_blocks_stay_apart_aligned_and_inside() =>
        Gen.Select(Gen.Int[0, 3], Gen.ULong[1, 64UL << 20], Gen.Int[0, 18]).Array[1, 200].Sample(steps =>
        {
            IovaRange[] ranges = [new(0, (1UL << 28) - 1), new((1UL << 28) + (16 << 20), (1UL << 30) - 1), new(ulong.MaxValue - (1 << 24) + 1, ulong.MaxValue)];
            IovaAllocator allocator = new(ranges, Page);
            List<(ulong Start, ulong Size)> mine = [];
            foreach ((int action, ulong size, int shift) in steps)
            {
                if (action == 0 && mine.Count > 0)
                {
                    int pick = (int)(size % (ulong)mine.Count);
                    allocator.Free(new Iova(mine[pick].Start), mine[pick].Size);
                    mine.RemoveAt(pick);
                    continue;
                }

                ulong alignment = Page << shift;
                Iova start;
                try
                {
                    start = allocator.Allocate(size, alignment);
                }
                catch (LinuxException)
                {
                    continue;
                }

                ulong last = start.Value + ((size - 1) | (Page - 1));
                Assert.Equal(0ul, start.Value % alignment);
                Assert.NotEqual(0ul, start.Value);
                Assert.Contains(ranges, range => range.First <= start.Value && last <= range.Last && last >= start.Value);
                // At least one granule of nothing on either side.
                Assert.All(mine, other => Assert.True(Gap((start.Value, last), (other.Start, other.Start + ((other.Size - 1) | (Page - 1)))) >= Page));
                mine.Add((start.Value, size));
            }

            Assert.Equal(mine.Count, allocator.Count);
        }, iter: 300);

    [Fact]
    public void The_window_of_interrupt_messages_is_stepped_over()
    {
        IovaAllocator allocator = new(Usual, Page);
        HashSet<ulong> starts = [];
        for (int i = 0; i < 16; i++) starts.Add(allocator.Allocate(512UL << 20, 2 << 20).Value);
        Assert.DoesNotContain(starts, start => start < 0xfef0_0000 && start + (512UL << 20) > 0xfee0_0000);
        Assert.Contains(starts, start => start >= 0xfef0_0000);
    }

    [Fact]
    public void What_comes_back_is_used_again_and_the_lowest_first()
    {
        IovaAllocator allocator = new(Usual, Page);
        Iova first = allocator.Allocate(Page, Page);
        Iova second = allocator.Allocate(Page, Page);
        Assert.Equal(first.Value + (2 * Page), second.Value);
        allocator.Free(first, Page);
        Assert.Equal(first, allocator.Allocate(Page, Page));
    }

    [Fact]
    public void A_full_space_and_absurd_sizes_are_said()
    {
        IovaAllocator allocator = new([new IovaRange(0, (4 * Page) - 1)], Page);
        allocator.Allocate(3 * Page, Page);
        Assert.Contains("no I/O address space left", Assert.Throws<LinuxException>(() => allocator.Allocate(1, 1)).Message, StringComparison.Ordinal);
        Assert.Throws<LinuxException>(() => new IovaAllocator(Usual, Page).Allocate(ulong.MaxValue, Page));
        Assert.Throws<LinuxException>(() => new IovaAllocator(Usual, Page).Allocate(Page, 1UL << 63));
        Assert.Throws<ArgumentOutOfRangeException>(() => allocator.Allocate(0, Page));
        Assert.Throws<ArgumentException>(() => allocator.Allocate(Page, 3));
    }

    [Fact]
    public void Only_what_was_taken_can_be_given_back()
    {
        IovaAllocator allocator = new(Usual, Page);
        Iova start = allocator.Allocate(2 * Page, Page);
        Assert.Throws<ArgumentException>(() => allocator.Free(start, Page));
        Assert.Throws<ArgumentException>(() => allocator.Free(start + Page, Page));
        allocator.Free(start, 2 * Page);
        Assert.Throws<ArgumentException>(() => allocator.Free(start, 2 * Page));
    }

    [Fact]
    public void Ranges_that_overlap_are_refused()
    {
        Assert.Throws<ArgumentException>(() => new IovaAllocator([new(0, 10), new(10, 20)], Page));
        Assert.Throws<ArgumentException>(() => new IovaAllocator([new(20, 10)], Page));
        Assert.Throws<ArgumentException>(() => new IovaAllocator(Usual, 3000));
    }

    /// <summary>Bytes between two spans; 0 where they touch or overlap.</summary>
    private static ulong Gap((ulong First, ulong Last) left, (ulong First, ulong Last) right)
    {
        ((ulong First, ulong Last) lower, (ulong First, ulong Last) upper) = left.First < right.First ? (left, right) : (right, left);
        return upper.First > lower.Last ? upper.First - lower.Last - 1 : 0;
    }
}
