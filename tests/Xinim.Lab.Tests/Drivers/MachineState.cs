namespace Xinim.Lab.Tests.Drivers;

/// <summary>What a daemon can leave behind on a machine, as text that can be compared.</summary>
internal static class MachineState
{
    private static readonly string[] s_namespaces = ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"];

    /// <param name="devices">Addresses of those that the daemon has.</param>
    public static string Of(params string[] devices) => string.Join('\n',
    [
        $"free huge pages: {File.ReadAllText("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages").Trim()}",
        $"memory files: {string.Join(' ', OfAll("fd", path => Directory.EnumerateFileSystemEntries(path).Select(LinkOf)).Where(target => target.StartsWith("/memfd:xinim", StringComparison.Ordinal)).Order(StringComparer.Ordinal))}",
        $"namespaces: {string.Join(' ', OfAll("ns", path => s_namespaces.Select(name => LinkOf(Path.Combine(path, name)))).Distinct().Order(StringComparer.Ordinal))}",
        $"processes: {string.Join(' ', Processes().Order(StringComparer.Ordinal))}",
        $"VFIO groups: {string.Join(' ', Directory.GetFiles("/dev/vfio").Order(StringComparer.Ordinal))}",
        .. devices.Select(device => $"{device}: {LabDaemon.DriverOf(device) ?? "no driver"}"),
    ]);

    /// <summary>Whether a device that no driver of the kernel has may still write: bit 2 of its command register [PCI Local Bus Specification 3.0, §6.2.2].</summary>
    public static bool CanWrite(string device) => LabDaemon.DriverOf(device) is null or "vfio-pci" && (File.ReadAllBytes($"/sys/bus/pci/devices/{device}/config")[4] & 4) != 0;

    private static IEnumerable<string> Processes() => OfAll("comm", path => [File.ReadAllText(path).Trim()]).Where(name => name.StartsWith("xinim", StringComparison.Ordinal));

    /// <summary>Something of every process; of one that ends meanwhile nothing.</summary>
    private static IEnumerable<string> OfAll(string what, Func<string, IEnumerable<string>> read)
    {
        foreach (string process in Directory.EnumerateDirectories("/proc").Where(path => char.IsAsciiDigit(path[^1])))
        {
            string[] found = [];
            try
            {
                found = [.. read(Path.Combine(process, what))];
            }
            catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
            {
                // It has ended.
            }

            foreach (string one in found) yield return one;
        }
    }

    private static string LinkOf(string path) => new FileInfo(path).LinkTarget ?? "";
}
