using System.Text.Json;
using Xinim.Lab.Tests.Vfio;
using Xunit;

namespace Xinim.Lab.Tests.Drivers;

/// <summary>
/// A hostile driver (tests/Xinim.HostileDriver) with a real VFIO device: it has its 82540EM copy from and to memory that was never granted, and looks
/// for other devices behind its descriptor.
/// </summary>
[Collection(nameof(VfioLab))]
[Trait("needs", "guest")]
public sealed class HostileDeviceTests : IDisposable
{
    private const string Nic = "0000:00:02.0";
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("xinim-hostile-");

    public void Dispose() => _folder.Delete(recursive: true);

    [Fact]
    public void Its_device_reaches_nothing_that_was_not_granted()
    {
        using LabDaemon daemon = Start("device", startLimit: 600_000);

        string[] said = Said(daemon);

        Assert.Contains("own configuration: 100e8086", said);
        Assert.Contains("DMA within the grant: works", said);
        Assert.Equal(4, said.Count(line => line.EndsWith(": nothing came", StringComparison.Ordinal)));
        Assert.Equal(4, said.Count(line => line.EndsWith(": tried", StringComparison.Ordinal)));
        Assert.Equal(6, said.Count(line => line.EndsWith(": nothing there", StringComparison.Ordinal)));
        Assert.DoesNotContain(said, line => line.Contains("succeeded", StringComparison.Ordinal));
        string kernel = LabDevice.Shell("dmesg");
        // The first write. The emulated IOMMU records one fault at a time and drops those that come before the kernel has read it; the kernel, too, limits what it tells.
        const string fault = "[DMA Write NO_PASID] Request device [00:02.0] fault addr 0x100000 ";
        Assert.True(
            kernel.Contains(fault, StringComparison.Ordinal) || kernel.Contains("callbacks suppressed", StringComparison.Ordinal),
            $"the kernel tells nothing of '{fault}':\n{kernel}");
    }

    [Fact]
    public void Its_process_finds_no_way_out()
    {
        using LabDaemon daemon = Start("escape", startLimit: 600_000);

        string[] said = Said(daemon);

        Assert.InRange(said.Length, 60, 200);
        Assert.All(said, line => Assert.Matches(@"^ESCAPE .+: errno (1|2|9|13|30|38)$", line));
        int pid = daemon.Status("net0").GetProperty("pid").GetInt32();
        Assert.Contains(File.ReadLines($"/proc/{pid}/status"), line => line == "Seccomp:\t2");
    }

    private LabDaemon Start(string attack, int startLimit)
    {
        File.WriteAllText(Path.Combine(_folder.FullName, "hostile.json"), $$"""
            {
              "name": "{{attack}}", "version": "1", "class": "network", "matches": [ "8086:100e" ], "startLimit": {{startLimit}}, "dmaBytes": 2097152,
              "executable": {{JsonSerializer.Serialize(Path.GetFullPath(Path.Combine(AppContext.BaseDirectory, "../../../tests/hostile-driver/hostile-driver")))}}
            }
            """);
        return new LabDaemon([Nic], drivers: _folder.FullName);
    }

    /// <summary>What the driver said before it was ready.</summary>
    private static string[] Said(LabDaemon daemon)
    {
        const string Says = "driver says: ";
        return [.. daemon.Log.Split('\n').Where(line => line.Contains(Says, StringComparison.Ordinal)).Select(line => line[(line.IndexOf(Says, StringComparison.Ordinal) + Says.Length)..])];
    }
}
