using Xinim.Faults.Processes;
using Xinim.Faults.Targets;
using Xinim.Faults.Traffic;

namespace Xinim.Faults.Campaigns;

/// <summary>
/// What must hold whatever is injected. Each breach is written down with the fault that it was seen after; one is enough for a campaign to fail.
/// </summary>
/// <remarks>Campaigns beside each other may share one.</remarks>
internal sealed class Ledger
{
    /// <summary>What a collected heap may differ by.</summary>
    private const long ResidentSlackKilobytes = 16 << 10;
    private const int MaxBreaches = 100;

    private readonly List<string> _breaches = [];

    public IReadOnlyList<string> Breaches => _breaches;

    /// <summary>All breaches, those included that are not kept.</summary>
    public long BreachCount { get; private set; }

    public void Breach(string text)
    {
        lock (_breaches)
        {
            BreachCount++;
            if (_breaches.Count < MaxBreaches) _breaches.Add(text);
        }
    }

    /// <summary>Frames of the device that a fault was injected into.</summary>
    /// <param name="where">For the message.</param>
    /// <param name="mayLie">The driver may have said what is not so.</param>
    /// <param name="tx">What was counted meanwhile, from the client.</param>
    /// <param name="rx">To the client.</param>
    public void CheckFrames(string where, bool mayLie, in StreamCounts tx, in StreamCounts rx)
    {
        Require(tx.Forged + rx.Forged == 0, where, $"{tx.Forged + rx.Forged} frames with a right checksum and wrong bytes");
        if (mayLie) return;
        Require(tx.Damaged + rx.Damaged == 0, where, $"{tx.Damaged} damaged frames sent, {rx.Damaged} received, by a driver that was not corrupted");
        Require(tx.Lost == 0, where, $"{tx.Lost} sent frames lost silently");
        Require(rx.LostSilently == 0, where, $"{rx.LostSilently} received frames lost while a driver listened");
        Require(rx.Duplicates == 0, where, $"{rx.Duplicates} frames received twice");
    }

    /// <summary>Frames of a device that no fault was injected into.</summary>
    public void CheckBystander(string where, in StreamCounts tx, in StreamCounts rx)
    {
        CheckFrames(where, mayLie: false, tx, rx);
        Require(rx.Lost == 0 && tx.Duplicates == 0, where, $"another device's driver was disturbed: {rx.Lost} frames lost, {tx.Duplicates} sent twice");
    }

    /// <summary>A client never ends of what its driver does, however much that lies.</summary>
    public void CheckClient(string where, IEnumerable<string> errors)
    {
        foreach (string error in errors) Breach($"{where}: the client ended: {error}");
    }

    public void CheckDaemon(string where, DaemonTarget daemon) => Require(daemon.IsAlive, where, "the daemon has ended");

    /// <summary>Compares what a process holds with what it held.</summary>
    /// <returns>What has grown; null for nothing.</returns>
    public static string? Growth(in Footprint before, in Footprint now)
    {
        if (now.Descriptors > before.Descriptors) return $"descriptors {before.Descriptors} to {now.Descriptors}";
        if (now.Shared > before.Shared) return $"mappings of shared memory {before.Shared} to {now.Shared}";
        if (now.Children > before.Children) return $"child processes {before.Children} to {now.Children}";
        return now.HugeKilobytes > before.HugeKilobytes ? $"huge pages {before.HugeKilobytes} to {now.HugeKilobytes} kB" : null;
    }

    /// <summary>
    /// Whether a resident set grows all the time. A collected heap grows until its first collections and goes up and down afterwards: what
    /// counts is that the last quarter never comes back to what the second one had at the most.
    /// </summary>
    /// <param name="samples">Kilobytes at equal distances.</param>
    public static bool Grows(IReadOnlyList<long> samples)
    {
        int quarter = samples.Count / 4;
        if (quarter < 3) return false;
        return samples.Skip(samples.Count - quarter).Min() > samples.Skip(quarter).Take(quarter).Max() + ResidentSlackKilobytes;
    }

    public void Require(bool holds, string where, string otherwise)
    {
        if (!holds) Breach($"{where}: {otherwise}");
    }
}
