using System.Text.Json;
using Xinim.TestKit.Block;

namespace Xinim.Host.Tests.Commands;

/// <summary>disk, with a daemon and a disk in this process.</summary>
public sealed class DiskCommandTests : IDisposable
{
    private readonly FakeDiskDaemon _daemon = new(blocks: 16384, poolBytes: 16 << 20) { StatusJson = Reports.Of(Reports.Disk("disk0"), Reports.Device("net0"), Reports.Controller("sata0")).ToJson() };
    private readonly FakeMachine _machine = new();
    private readonly string _file = Path.GetTempFileName();

    [Fact]
    public void Disks_are_listed_without_what_is_none()
    {
        Assert.Equal(0, Run("disk", "list"));
        Assert.Matches(@"^disk0 +0000:00:03\.0 +e1000 +Ready +8\.39 MB +512 +rw +S1 +M1 +- *$", _machine.Lines[1]);
        Assert.DoesNotContain("net0", _machine.Output.ToString(), StringComparison.Ordinal);
        Assert.Matches(@"^sata0\.1 .* S2 +M2 +process 7", _machine.Lines[2]);
        Assert.Equal(3, _machine.Lines.Length);
    }

    [Fact]
    public void Empty_ports_are_listed_for_who_wants_them()
    {
        Assert.Equal(0, Run("disk", "list", "--all"));
        Assert.Matches(@"^sata0\.0 +0000:00:04\.0 +ahci +Ready( +-){6} *$", _machine.Lines[2]);
    }

    [Theory]
    [InlineData("sata0.1", "8388608 bytes")]
    [InlineData("0000:00:04.0.1", "8388608 bytes")]
    [InlineData("00:04.0.1", "reads 5")]
    public void A_disk_on_a_port_is_described(string name, string says)
    {
        Assert.Equal(0, Run("disk", "info", name));
        Assert.Contains(says, _machine.Output.ToString(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("sata0", "sata0 is a controller and no disk; there are sata0.1")]
    [InlineData("sata0.0", "sata0.0 has no disk at the moment")]
    [InlineData("sata0.7", "there is no disk 'sata0.7'; there are disk0, sata0.1")]
    public void What_is_no_disk_is_named(string name, string says)
    {
        Assert.Equal(1, Run("disk", "info", name));
        Assert.Contains(says, _machine.ErrorLine, StringComparison.Ordinal);
        Assert.Equal(1, Run("disk", "smart", name));
    }

    [Fact]
    public void Health_is_shown_and_a_disk_that_expects_to_fail_is_a_failure()
    {
        Assert.Equal(1, Run("disk", "smart", "sata0.1"));
        Assert.Matches(@"temperature: +61 °C", _machine.Output.ToString());
        Assert.Contains("expects to fail", _machine.ErrorLine, StringComparison.Ordinal);
        Assert.Equal(1, Run("disk", "smart", "disk0"));
        Assert.Contains("nothing is known of the health of disk0", _machine.Error.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void Health_is_json_for_programs()
    {
        Assert.Equal(1, Run("disk", "smart", "sata0.1", "--json"));
        JsonElement health = JsonDocument.Parse(_machine.Output.ToString()).RootElement;
        Assert.Equal(("Failing", 61, 3), (health.GetProperty("verdict").GetString(), health.GetProperty("temperature").GetInt32(), health.GetProperty("pendingSectors").GetInt32()));
    }

    [Theory]
    [InlineData("standby")]
    [InlineData("idle")]
    [InlineData("eject")]
    [InlineData("load")]
    public void A_disk_is_asked_to_rest_or_to_open_its_tray(string verb)
    {
        Assert.Equal(0, Run("disk", verb, "disk0"));
        Assert.Equal($"disk0: {verb}", Assert.Single(_machine.Lines));
        Assert.Equal([$"{verb}\0disk0\0"], _daemon.Controls);
    }

    [Fact]
    public void The_status_has_a_row_for_each_disk_of_a_controller()
    {
        Assert.Equal(0, Run("status"));
        string[] rows = [.. _machine.Lines.Where(line => line.StartsWith("sata0", StringComparison.Ordinal))];
        Assert.Equal(2, rows.Length);
        Assert.Contains(" 1/2 disks ", rows[0], StringComparison.Ordinal);
        Assert.Matches(@"^sata0\.1 +port 1 .* 8\.39 MB +5 +6 .*process 7", rows[1]);
    }

    [Fact]
    public void Json_is_for_programs()
    {
        Assert.Equal(0, Run("disk", "list", "--json"));
        Assert.Equal(8388608ul, JsonDocument.Parse(_machine.Output.ToString()).RootElement[0].GetProperty("bytes").GetUInt64());
    }

    [Fact]
    public void A_disk_is_described()
    {
        Assert.Equal(0, Run("disk", "info", "disk0"));
        Assert.Contains("8388608 bytes, 16384 blocks", _machine.Output.ToString(), StringComparison.Ordinal);
        Assert.Equal(1, Run("disk", "info", "net0"));
        Assert.Contains("no disk but a network device", _machine.ErrorLine, StringComparison.Ordinal);
    }

    [Fact]
    public void What_is_written_to_any_place_is_read_from_there_and_its_neighbours_stay()
    {
        byte[] data = new byte[(3 << 20) + 123];
        new Random(1).NextBytes(data);
        _daemon.Disk.Contents(0, 16384).Fill(0xee);
        File.WriteAllBytes(_file, data);
        Assert.Equal(0, Run("disk", "write", "disk0", "--offset", "1000", "--input", _file, "--yes-destroy-data"));
        Assert.True(_daemon.Disk.Contents(0, 16384).Slice(1000, data.Length).SequenceEqual(data));
        Assert.Equal(-1, _daemon.Disk.Contents(0, 16384)[..1000].IndexOfAnyExcept((byte)0xee));
        Assert.Equal(-1, _daemon.Disk.Contents(0, 16384)[(1000 + data.Length)..].IndexOfAnyExcept((byte)0xee));
        Assert.NotEqual(0, _daemon.Disk.Flushes);
        Assert.Equal(0, Run("disk", "read", "disk0", "--offset", "1000", "--length", $"{data.Length}", "--output", _file));
        Assert.True(File.ReadAllBytes(_file).AsSpan().SequenceEqual(data));
    }

    [Fact]
    public void A_whole_disk_is_read_where_nothing_else_is_said()
    {
        new Random(2).NextBytes(_daemon.Disk.Contents(0, 16384));
        Assert.Equal(0, Run("disk", "read", "disk0", "--output", _file, "--json"));
        Assert.True(File.ReadAllBytes(_file).AsSpan().SequenceEqual(_daemon.Disk.Contents(0, 16384)));
        Assert.Equal(8388608, JsonDocument.Parse(_machine.Output.ToString()).RootElement.GetProperty("bytes").GetInt64());
    }

    [Theory]
    [InlineData("write")]
    [InlineData("trim")]
    [InlineData("bench", "--write")]
    public void Nothing_is_destroyed_by_accident(string verb, params string[] more)
    {
        int before = _daemon.Disk.Executed;
        Assert.Equal(2, Run(["disk", verb, "disk0", .. more]));
        Assert.Contains("--yes-destroy-data", _machine.ErrorLine, StringComparison.Ordinal);
        Assert.Equal(before, _daemon.Disk.Executed);
    }

    [Fact]
    public void Blocks_are_given_up_or_made_zeroes()
    {
        _daemon.Disk.Contents(0, 100).Fill(1);
        Assert.Equal(0, Run("disk", "trim", "disk0", "--offset", "4K", "--length", "1K", "--zeroes", "--yes-destroy-data"));
        Assert.Equal(-1, _daemon.Disk.Contents(8, 2).IndexOfAnyExcept((byte)0));
        Assert.Equal(-1, _daemon.Disk.Contents(0, 8).IndexOfAnyExcept((byte)1));
        Assert.Equal(2, Run("disk", "trim", "disk0", "--offset", "100", "--yes-destroy-data"));
    }

    [Theory]
    [InlineData("random read")]
    [InlineData("sequential write", "--sequential", "--write", "--yes-destroy-data")]
    public void A_bench_counts_what_the_disk_did(string pattern, params string[] options)
    {
        int before = _daemon.Disk.Executed;
        Assert.Equal(0, Run(["disk", "bench", "disk0", "--seconds", "0.2", "--depth", "4", "--block-size", "2K", "--json", .. options]));
        JsonElement sum = JsonDocument.Parse(_machine.Output.ToString()).RootElement;
        Assert.Equal(pattern, sum.GetProperty("pattern").GetString());
        Assert.Equal(_daemon.Disk.Executed - before, sum.GetProperty("requests").GetInt32());
        Assert.True(sum.GetProperty("p50").GetDouble() <= sum.GetProperty("p99").GetDouble());
        Assert.True(sum.GetProperty("p50").GetDouble() > 0);
    }

    [Fact]
    public void A_failed_block_ends_the_transfer_with_its_number()
    {
        _daemon.Disk.BadBlocks.Add(77);
        Assert.Equal(1, Run("disk", "read", "disk0", "--output", _file));
        Assert.Contains("failed at 77", _machine.ErrorLine, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("--offset", "1X")]
    [InlineData("--length", "")]
    [InlineData("--offset", "99999999999999999999P")]
    public void No_size_is_no_size(string option, string size) => Assert.Equal(2, Run("disk", "read", "disk0", option, size));

    [Fact]
    public void Beyond_the_end_there_is_nothing()
    {
        Assert.Equal(1, Run("disk", "read", "disk0", "--offset", "8M", "--length", "1", "--output", _file));
        Assert.Contains("leave the disk", _machine.ErrorLine, StringComparison.Ordinal);
    }

    public void Dispose()
    {
        _daemon.Dispose();
        _machine.Dispose();
        File.Delete(_file);
    }

    private int Run(params string[] arguments) => _machine.Run([.. arguments, "--socket", _daemon.Socket]);
}
