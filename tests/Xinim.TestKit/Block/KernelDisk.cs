using System.Diagnostics;
using System.Globalization;

namespace Xinim.TestKit.Block;

/// <summary>A disk as the kernel's own driver has it, for a second opinion on what is on it.</summary>
public static class KernelDisk
{
    /// <summary>Lets the kernel take a device, and waits until it has found its first disk: behind a controller it looks for them in its own time.</summary>
    /// <param name="address">Of the function, given back by whoever had it.</param>
    /// <param name="limit">For the kernel.</param>
    /// <param name="modules">Those that make a disk of it.</param>
    /// <returns>Its node, such as /dev/sda.</returns>
    /// <exception cref="TimeoutException">There is no disk by then.</exception>
    public static string Take(string address, TimeSpan limit, params IEnumerable<string> modules)
    {
        foreach (string module in modules) Load(module);
        string device = $"/sys/bus/pci/devices/{address}";
        if (!Directory.Exists($"{device}/driver")) File.WriteAllText("/sys/bus/pci/drivers_probe", address);
        long start = Stopwatch.GetTimestamp();
        while (Stopwatch.GetElapsedTime(start) < limit)
        {
            if (NodeBelow(FirstPort(device)) is { } node && File.Exists(node)) return node;
            Thread.Yield();
        }

        throw new TimeoutException($"the kernel finds no disk on {address} within {limit.TotalSeconds:0} s");
    }

    private static void Load(string module)
    {
        using Process modprobe = Process.Start("modprobe", [module]);
        modprobe.WaitForExit();
        if (modprobe.ExitCode != 0) throw new InvalidOperationException($"'modprobe {module}' ended with status {modprobe.ExitCode}");
    }

    /// <summary>ataN, all of which are there before the first disk is; a device without ports itself.</summary>
    private static string FirstPort(string device)
        => Directory.EnumerateDirectories(device, "ata?*").MinBy(port => int.TryParse(Path.GetFileName(port).AsSpan(3), CultureInfo.InvariantCulture, out int number) ? number : int.MaxValue) ?? device;

    // .../virtioN/block/vda or .../ataN/hostN/targetN:0:0/N:0:0:0/block/sda; links lead out of the device.
    private static string? NodeBelow(string device)
    {
        EnumerationOptions inside = new() { RecurseSubdirectories = true, AttributesToSkip = FileAttributes.ReparsePoint, IgnoreInaccessible = true };
        string? block = Directory.EnumerateDirectories(device, "block", inside).FirstOrDefault();
        return block is not null && Directory.GetDirectories(block) is [string disk, ..] ? $"/dev/{Path.GetFileName(disk)}" : null;
    }
}
