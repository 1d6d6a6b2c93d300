using System.Globalization;
using Microsoft.Win32.SafeHandles;
using Xinim.Ipc.Channels;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Processes;
using Xinim.Ipc.Tests.Channels;
using Xinim.Ipc.Tests.Native;
using Xinim.TestPeer;
using Xunit;

namespace Xinim.Ipc.Tests.Processes;

[Collection(nameof(DescriptorCountingCollection))]
public sealed class ProcessLauncherTests
{
    private const uint Nobody = 65534;

    [Fact]
    public void A_child_has_its_arguments_and_environment_and_nothing_else()
    {
        Environment.SetEnvironmentVariable("XINIM_TEST_SECRET", "1");
        Dictionary<string, string> report = Report(null, [], "a b", "", "ü");
        Assert.Equal("report|a b||ü", report["arguments"]);
        Assert.Equal("DOTNET_EnableDiagnostics|DOTNET_ROOT|DOTNET_TieredCompilation", report["environment"]);
        Assert.Equal("/dev/null", report["descriptor 0"]);
    }

    [Fact]
    public void A_child_has_the_descriptors_that_it_is_given_in_order()
    {
        using SharedRegion region = SharedRegion.Create("given-to-child", 4096, PageChoice.Ordinary);
        using SafeFileHandle inherited = File.OpenHandle("/proc/self/maps");
        Dictionary<string, string> report = Report(null, [region.Handle]);
        Assert.Contains("given-to-child", report["descriptor 4"], StringComparison.Ordinal);
    }

    [Fact]
    public void A_child_can_never_gain_privileges() => Assert.Equal("1", Report(null, [])["NoNewPrivs"]);

    [Fact]
    public void A_child_of_another_user_has_no_privilege_left()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "changing the user needs root");
        Dictionary<string, string> report = Report(Nobody, []);
        string[] nobody = [.. Enumerable.Repeat($"{Nobody}", 4)];
        Assert.Equal(nobody, report["Uid"].Split('\t'));
        Assert.Equal(nobody, report["Gid"].Split('\t'));
        Assert.Equal("", report["Groups"].Trim());
        foreach (string set in (string[])["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"])
            Assert.Equal((set, 0UL), (set, ulong.Parse(report[set], NumberStyles.HexNumber, CultureInfo.InvariantCulture)));
    }

    [Fact]
    public void The_launcher_keeps_its_own_privileges()
    {
        string before = Identity();
        Report(Environment.IsPrivilegedProcess ? Nobody : null, []);
        Assert.Equal(before, Identity());
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(255)]
    public void An_exit_status_is_reported(int code)
    {
        using PeerProcess peer = PeerProcess.Start("exit", $"{code}");
        Assert.True(peer.Process.WaitForExit(PeerProcess.Limit));
        Assert.Equal(new ExitReport(code, 0), peer.Process.Exit);
        Assert.Equal($"exit status {code}", $"{peer.Process.Exit}");
    }

    [Fact]
    public void A_signal_is_reported()
    {
        using PeerProcess peer = PeerProcess.Start("hang");
        peer.Channel.Receive(PeerProcess.Limit).Dispose();
        Assert.False(peer.Process.TryReap());
        Assert.Null(peer.Process.Exit);
        peer.Process.Kill();
        Assert.Equal(new ExitReport(0, 9), peer.Process.Exit);
        Assert.Equal("killed by signal 9", $"{peer.Process.Exit}");
        peer.Process.Signal(PosixSignalNumber.Kill);
        Assert.True(peer.Process.TryReap());
    }

    [Fact]
    public void Disposing_ends_the_child_and_leaks_nothing()
    {
        PeerProcess.Start("hang").Dispose();
        int before = TestNative.CountDescriptors();
        int pid;
        using (PeerProcess peer = PeerProcess.Start("hang")) pid = peer.Process.Pid;
        Assert.False(Directory.Exists($"/proc/{pid}"));
        Assert.Equal(before, TestNative.CountDescriptors());
    }

    [Fact]
    public void A_program_that_is_not_there_is_named()
    {
        int before = TestNative.CountDescriptors();
        LinuxException exception = Assert.Throws<LinuxException>(() => ProcessLauncher.Start(new LaunchRequest { Executable = "/nowhere/program" }));
        Assert.Contains("/nowhere/program", exception.Message, StringComparison.Ordinal);
        Assert.Equal(before, TestNative.CountDescriptors());
    }

    private static string Identity() => string.Join('\n', File.ReadLines("/proc/thread-self/status").Where(line =>
        line.StartsWith("Uid", StringComparison.Ordinal) || line.StartsWith("Cap", StringComparison.Ordinal) || line.StartsWith("NoNew", StringComparison.Ordinal)));

    private static Dictionary<string, string> Report(uint? user, IReadOnlyList<SafeFileHandle> handles, params string[] arguments)
    {
        using PeerProcess peer = PeerProcess.StartAs(user, handles, ["report", .. arguments]);
        using ChannelMessage message = peer.Channel.Receive(PeerProcess.Limit);
        return message.Text.Split('\n').Select(line => line.Split(':', 2)).Where(parts => parts.Length == 2).ToDictionary(parts => parts[0], parts => parts[1].Trim());
    }
}
