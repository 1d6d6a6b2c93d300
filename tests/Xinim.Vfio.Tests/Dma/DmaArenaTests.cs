using Xinim.Ipc.Memory;
using Xinim.Vfio.Dma;
using Xunit;

namespace Xinim.Vfio.Tests.Dma;

public sealed class DmaArenaTests : IDisposable
{
    private readonly SharedRegion _memory = SharedRegion.Create("xinim-test", 16384, PageChoice.Ordinary);

    public void Dispose() => _memory.Dispose();

    [Fact]
    public void Blocks_are_aligned_as_the_device_sees_them_and_do_not_overlap()
    {
        // The region itself sits on an odd page: alignment of the offset would not be enough.
        DmaArena arena = Arena(0x1000);
        DmaBuffer<ulong> first = arena.Allocate<ulong>(2, 16);
        DmaBuffer<ulong> second = arena.Allocate<ulong>(128, 8192);
        DmaBuffer<ulong> third = arena.Allocate<ulong>(1, 8);
        Assert.Equal((0x1000ul, 0x2000ul, 0x2400ul), (first.Iova.Value, second.Iova.Value, third.Iova.Value));
        Assert.Equal(16384 - 0x1408, arena.Free);
    }

    [Fact]
    public void Indices_are_masked_and_cannot_leave_the_table()
    {
        DmaBuffer<uint> buffer = Arena().Allocate<uint>(4, 4);
        buffer[0] = 11;
        buffer[3] = 44;
        Assert.Equal((11u, 44u, 44u), (buffer[4], buffer[7], buffer[uint.MaxValue]));
        Assert.Equal((4u, 16u), (buffer.Count, buffer.Bytes));
    }

    [Fact]
    public void A_block_need_not_be_a_power_of_two_and_is_seen_through_its_parts()
    {
        DmaArena arena = Arena(0x1000);
        arena.Allocate<byte>(1, 1);
        DmaBlock block = arena.AllocateBlock(22, 64);
        DmaBuffer<ushort> head = block.View<ushort>(2, 1);
        DmaBuffer<ulong> ring = block.View<ulong>(4, 2);
        Assert.Equal((0x1040ul, 22u, 0x1042ul, 0x1044ul), (block.Iova.Value, block.Bytes, head.Iova.Value, ring.Iova.Value));
        ring[1] = 0x8877_6655_4433_2211;
        block.View<ushort>(20, 1)[0] = 0xbbaa;
        Assert.Equal([0x66, 0x77, 0x88], Enumerable.Range(0, 3).Select(i => (int)_memory.Slice(0x40 + 17 + i, 1)[0]));
        Assert.Equal(0xaa, _memory.Slice(0x40 + 20, 1)[0]);
        Assert.Equal(16384 - 0x40 - 22, arena.Free);
    }

    [Theory]
    [InlineData(0u, 8u)]
    [InlineData(16u, 4u)]
    [InlineData(28u, 1u)]
    [InlineData(uint.MaxValue, 1u)]
    public void A_part_cannot_leave_its_block(uint offset, uint count)
    {
        DmaBlock block = Arena().AllocateBlock(30, 4);
        Assert.Throws<ArgumentOutOfRangeException>(() => block.View<uint>(offset, count));
        Assert.Throws<ArgumentException>(() => block.View<uint>(0, 3));
        Assert.Throws<ArgumentOutOfRangeException>(() => Arena().AllocateBlock(0, 4));
    }

    [Fact]
    public void A_block_is_zeroed_even_when_the_memory_was_used_before()
    {
        DmaArena arena = Arena();
        arena.Allocate<byte>(64, 1).Fill(0xff);
        arena.Reset();
        Assert.Equal(0, arena.Allocate<byte>(64, 1)[63]);
    }

    [Fact]
    public void Too_much_is_refused_with_the_remedy()
    {
        DmaArena arena = Arena();
        arena.Allocate<byte>(8192, 4096);
        InvalidOperationException refused = Assert.Throws<InvalidOperationException>(() => arena.Allocate<byte>(16384, 1));
        Assert.Contains("dmaBytes", refused.Message, StringComparison.Ordinal);
        arena.Allocate<byte>(8192, 1);
        Assert.Equal(0, arena.Free);
        Assert.Throws<InvalidOperationException>(() => arena.Allocate<byte>(1, 1));
    }

    [Theory]
    [InlineData(3, 4)]
    [InlineData(0, 4)]
    [InlineData(4, 3)]
    public void Counts_and_alignments_are_powers_of_two(uint count, uint alignment) =>
        Assert.Throws<ArgumentException>(() => Arena().Allocate<uint>(count, alignment));

    [Fact]
    public void A_region_without_a_mapping_carries_no_arena() =>
        Assert.Throws<ArgumentException>(() => new DmaArena(new DmaRegion(1, new Iova(0), 4096, RegionAccess.Read)));

    private DmaArena Arena(ulong iova = 0x10_0000) => new(new DmaRegion(1, new Iova(iova), _memory.Size, RegionAccess.ReadWrite, _memory));
}
