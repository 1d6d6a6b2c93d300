using CsCheck;
using Xinim.Ipc.Memory;
using Xunit;

namespace Xinim.Ipc.Tests.Memory;

public sealed class GrantTableTests
{
    private const ulong RegionSize = 1 << 20;

    [Fact]
    public void A_grant_is_found_by_its_handle_until_it_is_revoked()
    {
        GrantTable table = new();
        Grant made = table.Create(7, RegionSize, 4096, 100, RegionAccess.Read);
        Assert.Equal(new Grant(made.Handle, 7, 4096, 100, RegionAccess.Read), made);
        Assert.True(table.TryGet(made.Handle, out Grant found));
        Assert.Equal(made, found);
        Assert.Equal([made], table.Active);
        Assert.True(table.Revoke(made.Handle));
        Assert.False(table.TryGet(made.Handle, out _));
        Assert.False(table.Revoke(made.Handle));
        Assert.Empty(table.Active);
    }

    [Theory]
    [InlineData(0, 0)]
    [InlineData(RegionSize, 1)]
    [InlineData(RegionSize + 1, 0)]
    [InlineData(RegionSize - 1, 2)]
    [InlineData(1, ulong.MaxValue)]
    [InlineData(ulong.MaxValue, 1)]
    [InlineData(ulong.MaxValue, ulong.MaxValue)]
    public void A_grant_cannot_leave_its_region_nor_be_empty(ulong offset, ulong length) =>
        Assert.Throws<ArgumentOutOfRangeException>(() => new GrantTable().Create(1, RegionSize, offset, length, RegionAccess.Read));

    [Fact]
    public void The_whole_region_can_be_granted() =>
        Assert.Equal(RegionSize, new GrantTable().Create(1, RegionSize, 0, RegionSize, RegionAccess.Read).Length);

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    [InlineData(Grant.MaxSlots + 1)]
    public void A_table_has_at_least_one_slot_and_at_most_all(int slots) => Assert.Throws<ArgumentOutOfRangeException>(() => new GrantTable(slots));

    [Fact]
    public void A_full_table_says_so_and_takes_the_next_after_a_revocation()
    {
        GrantTable table = new(2);
        Grant first = Make(table);
        Make(table);
        Assert.Throws<InvalidOperationException>(() => Make(table));
        table.Revoke(first.Handle);
        Assert.NotEqual(first.Handle, Make(table).Handle);
    }

    [Fact]
    public void A_reused_slot_does_not_answer_to_its_earlier_handles()
    {
        GrantTable table = new(1);
        HashSet<uint> earlier = [];
        for (int i = 0; i < 1000; i++)
        {
            Grant made = Make(table);
            Assert.True(earlier.Add(made.Handle));
            Assert.True(table.TryGet(made.Handle, out _));
            Assert.Equal([made.Handle], earlier.Where(handle => table.TryGet(handle, out _)));
            table.Revoke(made.Handle);
        }
    }

    [Fact]
    public void When_the_generation_wraps_it_leaves_out_zero()
    {
        GrantTable table = new(1);
        for (int i = 0; i < 70_000; i++)
        {
            Grant made = Make(table);
            Assert.NotEqual(0u, Grant.GenerationOf(made.Handle));
            table.Revoke(made.Handle);
        }
    }

    /// <summary>Every slot with the first generations, and every generation of one slot: exactly the valid handles answer.</summary>
    [Fact]
    public void No_forged_handle_is_valid()
    {
        GrantTable table = new(4);
        HashSet<uint> valid = [Make(table).Handle, Make(table).Handle];
        for (uint slot = 0; slot <= 0xffff; slot++)
        {
            for (uint generation = 0; generation < 4; generation++)
            {
                uint handle = Grant.HandleOf((int)slot, generation);
                Assert.Equal(valid.Contains(handle), table.TryGet(handle, out _));
            }
        }

        for (uint generation = 0; generation <= 0xffff; generation++)
        {
            uint handle = Grant.HandleOf(0, generation);
            Assert.Equal(valid.Contains(handle), table.TryGet(handle, out _));
        }
    }

    [Fact]
    public void Handles_take_apart_and_join() => Gen.Select(Gen.Int[0, 0xffff], Gen.UInt[0, 0xffff]).Sample((slot, generation) =>
    {
        uint handle = Grant.HandleOf(slot, generation);
        Assert.Equal(slot, Grant.SlotOf(handle));
        Assert.Equal(generation, Grant.GenerationOf(handle));
    });

    private static Grant Make(GrantTable table) => table.Create(1, RegionSize, 0, 1, RegionAccess.ReadWrite);
}
