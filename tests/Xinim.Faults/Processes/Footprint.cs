using System.Globalization;

namespace Xinim.Faults.Processes;

/// <summary>What a process holds, as the kernel counts it.</summary>
/// <param name="Descriptors">Open sockets, memory files, events and device files; a runtime opens and closes ordinary files as it likes.</param>
/// <param name="Shared">Mappings of memfds.</param>
/// <param name="Children">Child processes, those included that nobody has reaped.</param>
/// <param name="HugeKilobytes">In huge pages of hugetlbfs.</param>
/// <param name="ResidentKilobytes">Resident set.</param>
internal readonly record struct Footprint(int Descriptors, int Shared, int Children, long HugeKilobytes, long ResidentKilobytes)
{
    public static Footprint Of(int pid) => new(
        Directory.GetFileSystemEntries($"/proc/{pid}/fd").Count(IsCounted),
        Mapping.Of(pid).Count(mapping => mapping.Path.StartsWith("/memfd:xinim", StringComparison.Ordinal)),
        ChildrenOf(pid).Count,
        Field($"/proc/{pid}/status", "HugetlbPages:"),
        Field($"/proc/{pid}/status", "VmRSS:"));

    /// <summary>A child belongs to the thread that made it, or to another one when that has ended.</summary>
    public static List<int> ChildrenOf(int pid)
    {
        List<int> children = [];
        foreach (string task in Directory.GetDirectories($"/proc/{pid}/task"))
        {
            try
            {
                foreach (string child in File.ReadAllText($"{task}/children").Split(' ', StringSplitOptions.RemoveEmptyEntries))
                    children.Add(int.Parse(child, CultureInfo.InvariantCulture));
            }
            catch (IOException)
            {
                // The thread has just ended.
            }
        }

        return children;
    }

    private static bool IsCounted(string descriptor)
    {
        string target = new FileInfo(descriptor).LinkTarget ?? "";
        return target.StartsWith("/memfd:xinim", StringComparison.Ordinal) || target.StartsWith("/dev/", StringComparison.Ordinal) || !target.StartsWith('/');
    }

    private static long Field(string file, string name)
    {
        string? line = File.ReadLines(file).FirstOrDefault(line => line.StartsWith(name, StringComparison.Ordinal));
        return line is null ? 0 : long.Parse(line[name.Length..].Replace("kB", "", StringComparison.Ordinal).Trim(), CultureInfo.InvariantCulture);
    }
}
