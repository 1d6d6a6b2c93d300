using Xinim.Faults.Campaigns;
using Xinim.Faults.Faults;
using Xinim.Faults.Targets;

namespace Xinim.Faults.Tests;

/// <summary>Which fault a number is, what an end means, and what the report says.</summary>
public sealed class CampaignTests
{
    [Fact]
    public void A_seed_and_a_number_say_everything()
    {
        Assert.Equal(Sequence(1), Sequence(1));
        Assert.NotEqual(Sequence(1), Sequence(2));
        Assert.Equal(Sequence(1).Skip(50), Sequence(1, first: 50));
        Assert.Equal(FaultCatalogue.All.Count(fault => !fault.Kind.Contains("device", StringComparison.Ordinal) && fault is not Command), Sequence(1, count: 2000).Select(pick => pick.Kind).Distinct().Count());
    }

    [Theory]
    [InlineData("killed by signal 11", "Signal")]
    [InlineData("exit status 3", "Exit")]
    [InlineData("receive descriptor 3 reports nonsense (exit status 3)", "Exit")]
    [InlineData("no answer to GetStatistics within 300 ms (killed by signal 9)", "Hang")]
    [InlineData("it broke the protocol: 256 messages without being asked (killed by signal 9)", "Protocol")]
    [InlineData("message 6 cannot be sent: the peer is gone (killed by signal 9)", "Signal")]
    public void Ends_are_told_apart(string lastFault, string expected) => Assert.Equal(expected, EndReason.Classify(lastFault).ToString());

    [Fact]
    public void An_unknown_kind_is_named_with_those_that_there_are()
    {
        CampaignException exception = Assert.Throws<CampaignException>(() => FaultCatalogue.Choose(FaultCatalogue.All, fault => fault.Kind, "kill,quake"));
        Assert.Contains("'quake'", exception.Message, StringComparison.Ordinal);
        Assert.Contains("code-flip", exception.Message, StringComparison.Ordinal);
        Assert.Equal(["stop", "kill"], FaultCatalogue.Choose(FaultCatalogue.All, fault => fault.Kind, "stop, kill").Select(fault => fault.Kind));
    }

    [Fact]
    public void The_report_counts_by_kind_and_effect()
    {
        Report report = new(null);
        report.Add(new FaultRecord(0, "kill", "net0", "signal 9", Effect.Signal, TimeSpan.FromMilliseconds(20), null));
        report.Add(new FaultRecord(1, "kill", "net0", "signal 9", Effect.Unrecovered, null, null));
        report.Add(new FaultRecord(2, "heap-flip", "net0", "bit", Effect.None, null, null));
        string[] table = [.. report.Table()];
        Assert.StartsWith("| heap-flip | 1 | 1 |", table[2], StringComparison.Ordinal);
        Assert.Contains("20.0 / 20.0 / 20.0", table[3], StringComparison.Ordinal);
        Assert.Equal((3, 2, 1), (report.Faults, report.Failures, report.Count(Effect.Unrecovered)));
    }

    [Fact]
    public void Kinds_have_names_of_their_own()
        => Assert.Equal(FaultCatalogue.All.Count, FaultCatalogue.All.Select(fault => fault.Kind).Distinct().Count());

    private static List<(string Kind, int Next)> Sequence(int seed, long first = 0, int count = 100)
    {
        IFault[] faults = [.. FaultCatalogue.All.Where(fault => fault is not (Command or DevicePause))];
        DeviceTarget device = new("net0", DeviceKind.E1000, false, null, null!, null!);
        return [.. Enumerable.Range((int)first, count - (int)first).Select(number => Campaign.Choose(seed, number, faults, [device]) is var choice ? (choice.Fault.Kind, choice.Random.Next()) : default)];
    }
}
