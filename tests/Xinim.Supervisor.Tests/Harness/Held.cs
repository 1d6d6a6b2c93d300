using System.Diagnostics;

namespace Xinim.Supervisor.Tests.Harness;

/// <summary>
/// What this process holds at one moment, as the kernel tells it: descriptors by what they are, and mappings of shared regions. Files are left
/// out, which the runtime opens and closes as it likes.
/// </summary>
internal sealed record Held(IReadOnlyList<string> Descriptors, int Mappings)
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(20);

    /// <summary>What is held once everything that nobody refers to any more, of earlier tests too, has been cleared away.</summary>
    public static Held Now()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
        return new Held(
            [
                .. Directory.GetFiles("/proc/self/fd").Select(path => new FileInfo(path).LinkTarget ?? "")
                    .Where(target => target.StartsWith("/memfd:xinim", StringComparison.Ordinal) || !target.StartsWith('/'))
                    .Select(Kind).Order(),
            ],
            File.ReadLines("/proc/self/maps").Count(line => line.Contains("xinim-", StringComparison.Ordinal)));
    }

    /// <summary>
    /// Fails when more stays held than this. It asks again for some time: other threads hold a descriptor for a moment. Less is no leak.
    /// </summary>
    /// <param name="turn">What goes on between two looks.</param>
    public void AssertNothingMore(Action turn)
    {
        long start = Stopwatch.GetTimestamp();
        string growth;
        while ((growth = GrowthTo(Now())).Length > 0)
        {
            Assert.True(Stopwatch.GetElapsedTime(start) < Limit, $"grown by {growth}");
            turn();
        }
    }

    private string GrowthTo(Held now)
    {
        List<string> more = [.. now.Descriptors];
        foreach (string held in Descriptors) more.Remove(held);
        if (now.Mappings > Mappings) more.Add($"{now.Mappings - Mappings} mappings");
        return string.Join(", ", more);
    }

    /// <summary>Sockets and pipes carry a number that is new each time.</summary>
    private static string Kind(string target) =>
        target.StartsWith("socket:", StringComparison.Ordinal) || target.StartsWith("pipe:", StringComparison.Ordinal) ? target.Split(':')[0] : target;
}
