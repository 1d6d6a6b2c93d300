namespace Xinim.Supervisor.Tests.Harness;

/// <summary>What this process holds, as the kernel tells it.</summary>
internal static class Held
{
    /// <summary>Descriptors by what they are, without files, which the runtime opens and closes as it likes.</summary>
    public static string[] Descriptors() =>
    [
        .. Directory.GetFiles("/proc/self/fd").Select(path => new FileInfo(path).LinkTarget ?? "")
            .Where(target => target.StartsWith("/memfd:xinim", StringComparison.Ordinal) || !target.StartsWith('/'))
            .Select(target => target.StartsWith("socket:", StringComparison.Ordinal) || target.StartsWith("pipe:", StringComparison.Ordinal) ? target.Split(':')[0] : target).Order(),
    ];

    /// <summary>Mappings of shared regions.</summary>
    public static int Mappings() => File.ReadLines("/proc/self/maps").Count(line => line.Contains("xinim-", StringComparison.Ordinal));
}
