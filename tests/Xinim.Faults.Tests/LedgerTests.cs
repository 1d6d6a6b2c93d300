using Xinim.Faults.Campaigns;
using Xinim.Faults.Processes;
using Xinim.Faults.Traffic;

namespace Xinim.Faults.Tests;

/// <summary>Each invariant is broken once, and the ledger says so.</summary>
public sealed class LedgerTests
{
    private static readonly StreamCounts s_fine = new() { Sent = 10, Good = 10 };

    [Fact]
    public void Nothing_is_broken_by_good_frames_repeated_sending_and_loss_during_a_fault()
    {
        Ledger ledger = new();
        ledger.CheckFrames("here", mayLie: false, s_fine with { Duplicates = 2 }, s_fine with { Lost = 3 });
        ledger.CheckBystander("here", s_fine, s_fine);
        ledger.CheckClient("here", []);
        Assert.Empty(ledger.Breaches);
    }

    [Fact]
    public void A_driver_that_only_fell_silent_may_damage_repeat_and_lose_nothing()
    {
        StreamCounts[] tx = [s_fine with { Damaged = 1 }, s_fine with { Forged = 1 }, s_fine with { Lost = 1 }];
        StreamCounts[] rx = [s_fine with { Damaged = 1 }, s_fine with { Forged = 1 }, s_fine with { LostSilently = 1 }, s_fine with { Duplicates = 1 }];
        foreach (StreamCounts sent in tx) Assert.Equal(1, Breaches(ledger => ledger.CheckFrames("here", false, sent, s_fine)));
        foreach (StreamCounts received in rx) Assert.Equal(1, Breaches(ledger => ledger.CheckFrames("here", false, s_fine, received)));
    }

    [Fact]
    public void A_driver_that_lies_may_do_all_that_but_make_anybody_believe_it()
    {
        StreamCounts bad = new() { Damaged = 1, Lost = 1, LostSilently = 1, Duplicates = 1 };
        Assert.Equal(0, Breaches(ledger => ledger.CheckFrames("here", true, bad, bad)));
        Assert.Equal(1, Breaches(ledger => ledger.CheckFrames("here", true, bad, bad with { Forged = 1 })));
    }

    [Fact]
    public void Another_device_loses_nothing_at_all()
    {
        Assert.Equal(1, Breaches(ledger => ledger.CheckBystander("here", s_fine, s_fine with { Lost = 1 })));
        Assert.Equal(1, Breaches(ledger => ledger.CheckBystander("here", s_fine with { Duplicates = 1 }, s_fine)));
    }

    [Fact]
    public void A_client_error_is_a_breach_whatever_the_driver_did()
        => Assert.Equal(2, Breaches(ledger => ledger.CheckClient("here", ["one", "two"])));

    [Theory]
    [InlineData(11, 5, 2, 0, "descriptors 10 to 11")]
    [InlineData(10, 6, 2, 0, "mappings of shared memory 5 to 6")]
    [InlineData(10, 5, 3, 0, "child processes 2 to 3")]
    [InlineData(10, 5, 2, 2048, "huge pages 0 to 2048 kB")]
    [InlineData(9, 5, 2, 0, null)]
    public void What_a_process_holds_more_is_growth(int descriptors, int shared, int children, long huge, string? expected)
        => Assert.Equal(expected, Ledger.Growth(new Footprint(10, 5, 2, 0, 100), new Footprint(descriptors, shared, children, huge, 100)));

    [Fact]
    public void Memory_that_only_rises_is_growth_and_a_collected_heap_is_not()
    {
        Assert.True(Ledger.Grows([.. Enumerable.Range(0, 40).Select(i => 20_000L + (i * 2000))]));
        Assert.False(Ledger.Grows([.. Enumerable.Range(0, 40).Select(i => 20_000L + (Math.Min(i, 8) * 5000) + (i % 5 * 3000))]));
        Assert.False(Ledger.Grows([1, 1_000_000]));
    }

    [Fact]
    public void Footprint_counts_what_this_process_opens()
    {
        Footprint before = Footprint.Of(Environment.ProcessId);
        using var one = Ipc.Native.Descriptor.CreateEvent();
        using Ipc.Memory.SharedRegion region = Ipc.Memory.SharedRegion.Create("xinim-test", 4096);
        Footprint after = Footprint.Of(Environment.ProcessId);
        Assert.True(after.Descriptors >= before.Descriptors + 2, $"{before} {after}");
        Assert.Equal(before.Shared + 1, after.Shared);
        Assert.NotNull(Ledger.Growth(before, after));
    }

    private static int Breaches(Action<Ledger> check)
    {
        Ledger ledger = new();
        check(ledger);
        return ledger.Breaches.Count;
    }
}
