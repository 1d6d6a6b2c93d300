using System.Globalization;
using Xinim.Ipc.Processes;

namespace Xinim.Supervisor.Tests.Native;

/// <summary>
/// Every way out of a driver's process, tried from inside by a hostile executable. docs/SECURITY.md says for each what stops it. In a room of its own
/// (a daemon that is root) and behind a fence (one that is not); under the wide filter, which a hostile program would not replace, and the tight one.
/// </summary>
[Trait("needs", "qemu")]
public sealed class EscapeTests
{
    private const int EPERM = 1, ENOENT = 2, EBADF = 9, EACCES = 13, EROFS = 30, ENOSYS = 38;

    public static TheoryData<string, bool> Places => new() { { "escape", true }, { "escape", false }, { "escape-tight", true }, { "escape-tight", false } };

    [Theory]
    [MemberData(nameof(Places))]
    public void There_is_no_way_out(string attack, bool own)
    {
        RequireRootFor(own);
        using HostileProcess hostile = new(attack, own);
        Dictionary<string, string> results = hostile.Report().Select(line => line["ESCAPE ".Length..].Split(": ", 2)).ToDictionary(parts => parts[0], parts => parts[1]);

        Assert.InRange(results.Count, 60, 200);
        foreach ((string name, string result) in results)
        {
            int[] denials = DenialsOf(name);
            Assert.True(denials.Select(error => $"errno {error}").Contains(result), $"{name}: {result}; expected errno {string.Join(" or ", denials)}");
        }

        Assert.Equal(8192, hostile.Work.Size);
        Assert.Equal(0, hostile.Work.At<int>(4096));
        Assert.False(hostile.Process.TryReap(), $"it ended: {hostile.Process.Exit}");
    }

    /// <summary>What the filter refuses is EPERM; a gate that has closed is ENOSYS; a file that is not in the room, or behind the fence, says so.</summary>
    private static int[] DenialsOf(string name) => name switch
    {
        "vfork as a launcher does" or "clone3" or "execute its own program" => [ENOSYS, EPERM],
        "map regions that it was not given" => [EBADF],
        _ when name.StartsWith("open ", StringComparison.Ordinal) || name is "write its own program" or "create a file" => [EPERM, ENOENT, EACCES, EROFS],
        _ => [EPERM],
    };

    [Fact]
    public void Nothing_but_the_program_and_its_libraries_is_in_its_room()
    {
        RequireRootFor(true);
        using HostileProcess hostile = new("escape", own: true);
        hostile.Report();

        // mountinfo: … 4: what of the file system, 5: where, 6: how (proc(5)).
        string[][] mounts = [.. hostile.Proc("mountinfo").Select(line => line.Split(' '))];
        Assert.All(mounts, mount => Assert.StartsWith("ro,nosuid,nodev", mount[5], StringComparison.Ordinal));
        string[] places = [.. mounts.Select(mount => mount[4])];
        Assert.Contains("/", places);
        Assert.Contains(HostileProcess.Executable, places);
        Assert.All(places, place => Assert.True(place == "/" || place == HostileProcess.Executable || Path.GetFileName(place).Contains(".so", StringComparison.Ordinal), place));
        foreach (string kind in (string[])["mnt", "net", "ipc", "uts", "pid"])
            Assert.NotEqual(File.ResolveLinkTarget($"/proc/self/ns/{kind}", false)!.Name, File.ResolveLinkTarget($"/proc/{hostile.Process.Pid}/ns/{kind}", false)!.Name);
        Assert.Equal(2, hostile.Proc("net/dev").Length - 1);
        Assert.EndsWith("\t1", hostile.Proc("status").Single(line => line.StartsWith("NSpid", StringComparison.Ordinal)), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Limits_hold_and_leave_nothing_to_raise(bool own)
    {
        RequireRootFor(own);
        using HostileProcess hostile = new("escape", own);
        hostile.Report();
        Dictionary<string, string> limits = hostile.Proc("limits").Skip(1).ToDictionary(line => line[..26].Trim(), line => line[26..].Trim());

        foreach (string none in (string[])["Max core file size", "Max file size", "Max locked memory", "Max msgqueue size", "Max nice priority", "Max realtime priority"])
            Assert.Equal(["0", "0"], Values(limits[none]));
        Assert.Equal([$"{HostileProcess.Limits.Memory}", $"{HostileProcess.Limits.Memory}"], Values(limits["Max data size"]));
        Assert.Equal([$"{HostileProcess.Limits.AddressSpace}", $"{HostileProcess.Limits.AddressSpace}"], Values(limits["Max address space"]));
        Assert.Equal(["64", "64"], Values(limits["Max open files"]));
        if (own) Assert.Equal(["8", "8"], Values(limits["Max processes"]));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Its_output_goes_nowhere(bool own)
    {
        RequireRootFor(own);
        using HostileProcess hostile = new("escape", own);
        hostile.Report();

        for (int descriptor = 0; descriptor < 3; descriptor++) Assert.Equal("/dev/null", File.ResolveLinkTarget($"/proc/{hostile.Process.Pid}/fd/{descriptor}", false)!.FullName);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Memory_ends_at_its_limit(bool own)
    {
        RequireRootFor(own);
        using HostileProcess hostile = new("memory", own);

        Assert.InRange(Number(Assert.Single(hostile.Report())), 16, HostileProcess.Limits.Memory >> 20);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Descriptors_end_at_their_limit(bool own)
    {
        RequireRootFor(own);
        using HostileProcess hostile = new("descriptors", own);

        Assert.InRange(Number(Assert.Single(hostile.Report())), 8, HostileProcess.Limits.Descriptors - 1);
    }

    [Fact]
    public void Threads_end_at_their_limit()
    {
        RequireRootFor(true);
        using HostileProcess hostile = new("threads", own: true);

        Assert.InRange(Number(Assert.Single(hostile.Report())), 1, HostileProcess.Limits.Threads!.Value);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Another_machine_code_ends_it(bool own)
    {
        RequireRootFor(own);
        using HostileProcess hostile = new("foreign-code", own);

        Assert.True(hostile.Process.WaitForExit(Machine.Limit));
        // SIGSYS.
        Assert.Equal(new ExitReport(0, 31), hostile.Process.Exit);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_runtime_lives_well_behind_the_tight_filter(bool own)
    {
        RequireRootFor(own);
        using HostileProcess peaceful = new("runtime", own);

        Assert.Equal(["RUNTIME collected 1", "RUNTIME recursed 2000", "RUNTIME caught thrown"], peaceful.Report());
    }

    [Fact]
    public void The_heap_has_an_end()
    {
        using HostileProcess hostile = new("heap", own: false);

        // The limit is 32 MiB. .NET 10.0 does not always throw at it: it may write behind the last page that it took, and dies of that.
        if (hostile.ReportOrEnd() is { } report) Assert.InRange(Number(Assert.Single(report)), 8, 32);
        else Assert.Equal(new ExitReport(0, 11), hostile.Process.Exit);
    }

    [Fact]
    public void A_weaker_sandbox_says_so()
    {
        using HostileProcess hostile = new("escape", own: false);

        Assert.Contains("the daemon is not root", hostile.Weakness, StringComparison.Ordinal);
    }

    private static void RequireRootFor(bool own) => Assert.SkipUnless(!own || Environment.IsPrivilegedProcess, "namespaces and users of their own need root");

    private static string[] Values(string limit) => limit.Split(' ', StringSplitOptions.RemoveEmptyEntries)[..2];

    private static long Number(string line) => long.Parse(line.Split(' ').First(word => char.IsAsciiDigit(word[0])), CultureInfo.InvariantCulture);
}
