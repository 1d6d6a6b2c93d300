using System.Net;
using System.Net.NetworkInformation;

namespace Xinim.Vfio.Pci;

/// <summary>
/// What the running system does with a device: taking the disk with the root file system or the card of the running SSH session away
/// from the kernel is seldom meant.
/// </summary>
/// <param name="sysfsRoot">Where sysfs is mounted.</param>
/// <param name="procRoot">Where procfs is mounted.</param>
/// <param name="hasAddress">Whether a network interface has an address that matters; null to ask the system.</param>
public sealed class DeviceUse(string sysfsRoot = "/sys", string procRoot = "/proc", Func<string, bool>? hasAddress = null)
{
    private const ulong InterfaceUp = 1;
    private readonly Func<string, bool> _hasAddress = hasAddress ?? HasAddress;

    /// <summary>Reasons to leave the device alone; none where it is free.</summary>
    public IReadOnlyList<string> Find(PciAddress address) => [.. NetworkUses(address), .. BlockUses(address)];

    private IEnumerable<string> NetworkUses(PciAddress address)
    {
        foreach ((string name, string path) in Of(address, "net"))
        {
            if (Directory.Exists(Path.Combine(path, "master")))
                yield return $"network interface {name} is a port of {SysfsFiles.LinkName(Path.Combine(path, "master"))}";
            bool up = SysfsFiles.ReadNumber(Path.Combine(path, "flags")) is { } flags && (flags & InterfaceUp) != 0;
            if (up && _hasAddress(name)) yield return $"network interface {name} is up and has an address";
        }
    }

    private IEnumerable<string> BlockUses(PciAddress address)
    {
        Dictionary<string, string> mounts = Mounts();
        string swaps = SysfsFiles.ReadText(Path.Combine(procRoot, "swaps")) ?? "";
        foreach ((string name, string path) in Of(address, "block"))
        {
            if (SysfsFiles.ReadText(Path.Combine(path, "dev")) is { } number && mounts.TryGetValue(number, out string? place))
                yield return $"{name} is mounted on {place}";
            string[] holders = SysfsFiles.Names(Path.Combine(path, "holders"));
            if (holders.Length != 0) yield return $"{name} is used by {string.Join(", ", holders)}";
            if (swaps.Split('\n').Any(line => line.StartsWith($"/dev/{name} ", StringComparison.Ordinal))) yield return $"{name} is swap space";
        }
    }

    /// <summary>Class devices beneath a PCI device: their links lead through a directory with its address.</summary>
    private IEnumerable<(string Name, string Path)> Of(PciAddress address, string kind)
    {
        string directory = Path.Combine(sysfsRoot, "class", kind);
        string part = $"/{address}/";
        string[] names = SysfsFiles.Names(directory);
        HashSet<string> own = [.. names.Where(name => Target(directory, name).Contains(part, StringComparison.Ordinal))];
        foreach (string name in names)
        {
            // With NVMe multipath a name space hangs on its subsystem and only its hidden path (nvme0c0n1) on the device.
            if (own.Contains(name) || own.Any(path => IsMultipathHead(name, path))) yield return (name, Path.Combine(directory, name));
        }
    }

    private static bool IsMultipathHead(string name, string path)
    {
        int controller = path.IndexOf('c', StringComparison.Ordinal);
        int space = controller < 0 ? -1 : path.IndexOf('n', controller);
        if (!path.StartsWith("nvme", StringComparison.Ordinal) || space < 0) return false;
        string head = path[..controller] + path[space..];
        return name == head || name.StartsWith(head + "p", StringComparison.Ordinal);
    }

    private static string Target(string directory, string name)
    {
        try
        {
            return new FileInfo(Path.Combine(directory, name)).LinkTarget ?? "";
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return "";
        }
    }

    /// <summary>Mount points by device number. proc_pid_mountinfo(5): field 3 is major:minor, field 5 the mount point.</summary>
    private Dictionary<string, string> Mounts()
    {
        Dictionary<string, string> mounts = [];
        foreach (string line in (SysfsFiles.ReadText(Path.Combine(procRoot, "self/mountinfo")) ?? "").Split('\n'))
        {
            string[] fields = line.Split(' ');
            if (fields.Length > 4) mounts.TryAdd(fields[2], fields[4]);
        }

        return mounts;
    }

    private static bool HasAddress(string name)
    {
        // Link-local addresses come by themselves and mean nothing.
        return NetworkInterface.GetAllNetworkInterfaces().Where(port => port.Name == name)
            .SelectMany(port => port.GetIPProperties().UnicastAddresses)
            .Any(address => !address.Address.IsIPv6LinkLocal && !IPAddress.IsLoopback(address.Address));
    }
}
