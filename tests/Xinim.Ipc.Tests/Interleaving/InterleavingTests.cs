using Xunit;

namespace Xinim.Ipc.Tests.Interleaving;

/// <summary>All interleavings of short runs of ring and doorbell, and that each part of the protocol is needed.</summary>
public sealed class InterleavingTests
{
    [Theory]
    [InlineData(2, 2, 1)]
    [InlineData(3, 2, 1)]
    [InlineData(3, 2, 2)]
    [InlineData(5, 2, 2)]
    [InlineData(5, 4, 3)]
    public void Nothing_is_lost_torn_or_slept_through(int elements, int capacity, int batch)
    {
        foreach (Sleeper sleeper in Enum.GetValues<Sleeper>())
        {
            Verdict verdict = Explorer.Explore(new RingModel(elements, capacity, batch, sleeper));
            Assert.Null(verdict.Problem);
            Assert.True(verdict.States > 500, $"only {verdict.States} states: the explorer does not explore");
        }
    }

    [Theory]
    [InlineData(nameof(Mutation.NoRelease), "was read as")]
    [InlineData(nameof(Mutation.NoFenceInRing), "the end cannot be reached")]
    [InlineData(nameof(Mutation.NoFenceInPrepare), "the end cannot be reached")]
    [InlineData(nameof(Mutation.NoSecondLook), "the end cannot be reached")]
    [InlineData(nameof(Mutation.NoAcquire), "was read as")]
    [InlineData(nameof(Mutation.DrainAfterLook), "the end cannot be reached")]
    [InlineData(nameof(Mutation.NoSignal), "the end cannot be reached")]
    public void Every_part_of_the_protocol_is_needed(string mutation, string problem)
    {
        foreach (Sleeper sleeper in Enum.GetValues<Sleeper>())
        {
            Verdict verdict = Explorer.Explore(new RingModel(3, 2, 1, sleeper, Enum.Parse<Mutation>(mutation)));
            Assert.Contains(problem, verdict.Problem ?? $"nothing was found with {sleeper}");
        }
    }
}
