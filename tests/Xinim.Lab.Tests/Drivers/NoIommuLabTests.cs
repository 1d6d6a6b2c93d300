using Xinim.Lab.Tests.Vfio;
using Xunit;

namespace Xinim.Lab.Tests.Drivers;

/// <summary>A machine without IOMMU: nothing is bound or started, and each command says why and what to do.</summary>
[Collection(nameof(VfioLab))]
[Trait("needs", "no-iommu")]
public sealed class NoIommuLabTests : IDisposable
{
    private const string Nic = "0000:00:02.0", Problem = "no IOMMU is active", Remedy = "boot with 'intel_iommu=on' or 'amd_iommu=on'";
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("xinim-lab-");

    public NoIommuLabTests()
    {
        LabDevice.RequireLab();
        Assert.SkipWhen(Directory.Exists("/sys/kernel/iommu_groups/0"), "runs in scripts/lab.sh --no-iommu");
        LabDevice.Shell("modprobe", "vfio-pci");
    }

    public void Dispose() => _folder.Delete(recursive: true);

    [Fact]
    public void List_says_of_every_device_why_it_cannot_be_used()
    {
        (int status, string output, string error) = LabProgram.Run(LabDaemon.Executable, "list");

        Assert.Equal((0, ""), (status, error));
        string[] rows = [.. output.Split('\n').Where(line => line.Contains(" 8086:", StringComparison.Ordinal))];
        Assert.NotEmpty(rows);
        Assert.All(rows, row => Assert.EndsWith($"no: {Problem}", row.TrimEnd(), StringComparison.Ordinal));
        Assert.Contains($"{Nic}: {Remedy}", output, StringComparison.Ordinal);
    }

    [Fact]
    public void Bind_refuses() => AssertRefuses("xinim: ", "bind", Nic);

    [Fact]
    public void Daemon_refuses() =>
        AssertRefuses("xinim daemon: ", "daemon", "--config", LabDaemon.WriteConfiguration(_folder.FullName, Path.Combine(_folder.FullName, "xinim.sock"), Nic));

    private static void AssertRefuses(string prefix, params string[] command)
    {
        (int status, string output, string error) = LabProgram.Run(LabDaemon.Executable, command);

        Assert.Equal((1, ""), (status, output));
        string line = Assert.Single(error.Split('\n', StringSplitOptions.RemoveEmptyEntries));
        Assert.StartsWith($"{prefix}{Nic} ", line, StringComparison.Ordinal);
        Assert.Contains($"{Problem}; {Remedy}", line, StringComparison.Ordinal);
        Assert.Null(LabDaemon.DriverOf(Nic));
    }
}
