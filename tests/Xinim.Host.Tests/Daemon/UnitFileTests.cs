using System.Diagnostics;

namespace Xinim.Host.Tests.Daemon;

/// <summary>scripts/xinim.service, as systemd itself reads it.</summary>
public sealed class UnitFileTests : IDisposable
{
    private const string Verifier = "/usr/bin/systemd-analyze";
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("xinim-unit-");

    public void Dispose() => _folder.Delete(recursive: true);

    [Fact]
    public void Systemd_finds_nothing_wrong_with_it() => Assert.Equal((0, ""), Verify(Unit()));

    [Fact]
    public void Systemd_would_find_what_is_wrong()
        => Assert.Contains("notified", Verify(Unit().Replace("Type=notify", "Type=notified", StringComparison.Ordinal)).Said, StringComparison.Ordinal);

    /// <summary>The file, with a program that exists here: nothing has to be installed.</summary>
    private static string Unit()
    {
        string root = Path.GetFullPath(Path.Combine(AppContext.BaseDirectory, "..", "..", "..", ".."));
        return File.ReadAllText(Path.Combine(root, "scripts", "xinim.service")).Replace("/usr/local/lib/xinim/xinim ", "/bin/true ", StringComparison.Ordinal);
    }

    private (int Status, string Said) Verify(string unit)
    {
        Assert.SkipUnless(File.Exists(Verifier), $"{Verifier} is missing (package systemd)");
        string path = Path.Combine(_folder.FullName, "xinim.service");
        File.WriteAllText(path, unit);
        using Process verifier = Process.Start(new ProcessStartInfo(Verifier, ["verify", "--man=no", path]) { RedirectStandardError = true })!;
        string said = verifier.StandardError.ReadToEnd();
        verifier.WaitForExit();
        return (verifier.ExitCode, said.Trim());
    }
}
