namespace Xinim.Faults.Traffic;

/// <summary>What a stream's receiver has seen.</summary>
/// <param name="Sent">Frames written.</param>
/// <param name="Good">Different frames that arrived byte for byte.</param>
/// <param name="Duplicates">Frames that came again.</param>
/// <param name="Damaged">Frames whose checksum, number or form gives them away: wrong data that is caught.</param>
/// <param name="Forged">Frames whose checksum is right and whose bytes are not what was sent: wrong data that would be believed.</param>
/// <param name="Lost">Frames that did not come although a later one did.</param>
/// <param name="LostSilently">Those of them that were sent while no fault was being dealt with.</param>
internal readonly record struct StreamCounts(ulong Sent, ulong Good, ulong Duplicates, ulong Damaged, ulong Forged, ulong Lost, ulong LostSilently)
{
    public static StreamCounts operator -(in StreamCounts a, in StreamCounts b) => new(
        a.Sent - b.Sent, a.Good - b.Good, a.Duplicates - b.Duplicates, a.Damaged - b.Damaged, a.Forged - b.Forged, a.Lost - b.Lost, a.LostSilently - b.LostSilently);

    public static StreamCounts operator +(in StreamCounts a, in StreamCounts b) => new(
        a.Sent + b.Sent, a.Good + b.Good, a.Duplicates + b.Duplicates, a.Damaged + b.Damaged, a.Forged + b.Forged, a.Lost + b.Lost, a.LostSilently + b.LostSilently);

    /// <summary>One more that was checked.</summary>
    public StreamCounts With(DiskVerdict verdict) => verdict switch
    {
        DiskVerdict.Good => this with { Good = Good + 1 },
        DiskVerdict.Damaged => this with { Damaged = Damaged + 1 },
        _ => this with { Forged = Forged + 1 },
    };
}
