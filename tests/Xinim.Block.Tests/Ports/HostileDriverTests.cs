using Xinim.Block.Ports;
using Xinim.Ipc.Protocols;

namespace Xinim.Block.Tests.Ports;

/// <summary>A driver that lies is reported; its successor does what it was asked, and the caller hears each answer once.</summary>
public sealed class HostileDriverTests
{
    public static TheoryData<string> Lies => ["twice", "unknown", "late", "status", "wild"];

    [Theory]
    [MemberData(nameof(Lies))]
    public void Nonsense_is_reported_and_everything_is_answered_once(string kind)
    {
        using PortFixture fixture = new();
        ulong former = 0;
        int told = 0;
        fixture.Daemon.Lie = honest =>
        {
            // The first driver tells one truth, then a lie; its successors tell the truth.
            if (fixture.Daemon.Generation != 2 || told++ != 1) return Remember(honest);
            return kind switch
            {
                "twice" => [honest, honest],
                "unknown" => [honest with { Cookie = 0x1234_0000_0001_0000 }],
                "late" => [honest with { Cookie = former }, honest],
                "status" => [honest with { Status = (BlockStatus)99 }],
                _ => [honest with { Cookie = ulong.MaxValue }],
            };
        };
        fixture.Daemon.Replace();
        for (uint i = 0; i < 8; i++) fixture.Submit(BlockOperation.Read, i, 1, i);
        BlockResult[] results = fixture.Await(8);
        Assert.Equal(Enumerable.Range(0, 8).Select(i => (ulong)i), results.Select(result => result.Token).Order());
        Assert.All(results, result => Assert.Equal(BlockStatus.Ok, result.Status));
        fixture.Until(() => fixture.Daemon.Reports.Count > 0, "the lie is reported");
        Assert.Equal(2u, Assert.Single(fixture.Daemon.Reports).Generation);
        Assert.Equal(BlockStatus.Ok, fixture.Do(BlockOperation.Read, 1, 1));
        Assert.Equal(0, fixture.Port.Outstanding);

        IReadOnlyList<BlockCompletion> Remember(BlockCompletion honest)
        {
            former = honest.Cookie;
            return [honest];
        }
    }

    [Fact]
    public void A_driver_that_answers_nothing_is_replaced()
    {
        using PortFixture fixture = new(new BlockPortOptions { PoolBytes = 1 << 20, Depth = 8, StallLimit = TimeSpan.FromMilliseconds(50) });
        fixture.Daemon.Lie = _ => fixture.Daemon.Generation == 2 ? [] : [_];
        fixture.Daemon.Replace();
        fixture.Submit(BlockOperation.Read, 1, 1, 5);
        Assert.Equal(5ul, fixture.Await(1).Single().Token);
        Assert.Contains("none of the requests", fixture.Daemon.Reports[0].Reason, StringComparison.Ordinal);
    }

    [Fact]
    public void A_failed_block_outside_the_request_is_not_believed()
    {
        using PortFixture fixture = new();
        fixture.Daemon.Lie = honest => [honest with { Status = BlockStatus.IoError, FailedLba = 7_000, FailedCount = 3 }];
        fixture.Daemon.Replace();
        fixture.Until(() => fixture.Port.Recoveries == 1, "the lying driver serves");
        fixture.Submit(BlockOperation.Read, 10, 2, 1);
        Assert.Equal(new BlockResult(1, BlockStatus.IoError, 10, 0), fixture.Await(1).Single());
    }
}
