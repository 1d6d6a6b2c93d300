using Xinim.Faults.Faults;
using Xinim.FaultyDriver;

namespace Xinim.Faults;

/// <summary>All kinds that can be injected into a running driver.</summary>
internal static class FaultCatalogue
{
    /// <summary>Bits of a burst: few of them strike what is used.</summary>
    private const int Burst = 32;
    private const int Abort = 6, BusError = 7, Kill = 9, SegmentationFault = 11, Terminate = 15, Stop = 19;

    public static IReadOnlyList<IFault> All { get; } =
    [
        new SignalFault("kill", Kill),
        new SignalFault("stop", Stop),
        new SignalFault("signal", Abort, BusError, SegmentationFault, Terminate),
        .. Enum.GetValues<Segment>().Select(segment => new BitFlip(segment, 1)),
        .. Enum.GetValues<Segment>().Select(segment => new BitFlip(segment, Burst)),
        new RingFault(RingPart.Control),
        new RingFault(RingPart.Index),
        new RingFault(RingPart.Slot),
        new DescriptorFault(many: false),
        new DescriptorFault(many: true),
        new DevicePause(),
        .. Enum.GetValues<Misdeed>().Where(misdeed => misdeed != Misdeed.None).Select(misdeed => new Command(misdeed)),
    ];

    /// <summary>Those of some kinds, or all.</summary>
    /// <exception cref="CampaignException">A name is none of a kind.</exception>
    public static IReadOnlyList<T> Choose<T>(IReadOnlyList<T> all, Func<T, string> kindOf, string? kinds)
    {
        if (kinds is null) return all;
        return [.. kinds.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries).Select(Find)];

        T Find(string kind) => all.FirstOrDefault(fault => kindOf(fault) == kind)
            ?? throw new CampaignException($"there is no kind of fault '{kind}'; there are {string.Join(", ", all.Select(kindOf))}");
    }
}
