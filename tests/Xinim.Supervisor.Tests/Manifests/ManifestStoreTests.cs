using Xinim.Ipc;
using Xinim.Supervisor.Manifests;
using Xinim.Vfio;

namespace Xinim.Supervisor.Tests.Manifests;

public sealed class ManifestStoreTests : IDisposable
{
    private const string Good = """{ "name": "e1000", "version": "1", "executable": "xinim-driver", "class": "network", "matches": [ "8086:100e", "8086:10D3" ] }""";
    private readonly string _root = Directory.CreateTempSubdirectory("xinim-manifests-").FullName;

    public ManifestStoreTests() => Directory.CreateDirectory(Folder);

    private string Folder => Path.Combine(_root, "drivers");

    public void Dispose() => Directory.Delete(_root, recursive: true);

    [Fact]
    public void A_manifest_without_limits_has_the_default_ones()
    {
        Write("a.json", Good);

        DriverManifest manifest = new ManifestStore(Folder).ByName("e1000");

        Assert.Equal((2L << 20, 10_000, 5_000), (manifest.DmaBytes, manifest.StartLimit, manifest.AnswerLimit));
        Assert.Equal(("1", "network"), (manifest.Version, manifest.Class));
    }

    [Fact]
    public void A_device_finds_its_driver_by_either_spelling_of_its_ids()
    {
        Write("a.json", Good);
        ManifestStore store = new(Folder);

        Assert.Equal("e1000", store.For(Identity(0x8086, 0x10d3))?.Name);
        Assert.Null(store.For(Identity(0x8086, 0x10d4)));
        Assert.Null(store.For(Identity(0x8087, 0x100e)));
    }

    [Fact]
    public void Executables_stand_in_the_parent_folder_or_where_their_path_says()
    {
        Write("a.json", Good);
        Write("b.json", Good.Replace("\"e1000\"", "\"other\"", StringComparison.Ordinal).Replace("\"xinim-driver\"", "\"/opt/drivers/other\"", StringComparison.Ordinal));
        ManifestStore store = new(Folder);

        Assert.Equal(Path.Combine(_root, "xinim-driver"), store.ExecutableOf(store.ByName("e1000")));
        Assert.Equal("/opt/drivers/other", store.ExecutableOf(store.ByName("other")));
        Assert.Equal(["e1000", "other"], store.Names);
    }

    [Fact]
    public void Other_files_are_not_manifests_and_comments_are_allowed()
    {
        Write("README", "not JSON");
        Write("a.json", "// Intel\n" + Good);

        Assert.Equal(["e1000"], new ManifestStore(Folder).Names);
    }

    [Fact]
    public void An_unknown_driver_is_refused_with_those_that_there_are()
    {
        Write("a.json", Good);

        Assert.Equal("there is no driver 'nvme'; installed: e1000", Assert.Throws<LinuxException>(() => new ManifestStore(Folder).ByName("nvme")).Message);
    }

    [Fact]
    public void A_missing_folder_is_named_with_a_remedy()
        => Assert.Contains("no driver manifests at /nowhere/drivers; build with", Assert.Throws<LinuxException>(() => new ManifestStore("/nowhere/drivers")).Message, StringComparison.Ordinal);

    [Fact]
    public void Two_manifests_of_one_name_are_an_error_of_the_second()
    {
        Write("a.json", Good);
        Write("b.json", Good);

        Assert.Equal($"{Path.Combine(Folder, "b.json")}: a driver 'e1000' is installed already", Failure());
    }

    [Fact]
    public void A_manifest_that_cannot_be_read_is_named()
    {
        File.CreateSymbolicLink(Path.Combine(Folder, "a.json"), "/nowhere/at/all");

        Assert.StartsWith($"cannot read the driver manifest {Path.Combine(Folder, "a.json")}: ", Failure(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("\"e1000\"", "\" \"", "'name' is empty")]
    [InlineData("\"e1000\"", "\"a-name-of-more-than-sixty-four-bytes-which-no-message-to-a-driver-holds\"", "'name' has more than 64 bytes")]
    [InlineData("\"xinim-driver\"", "\"\"", "'executable' is empty")]
    [InlineData("\"network\"", "\"sound\"", "'class' is 'sound'; allowed: network")]
    [InlineData("[ \"8086:100e\", \"8086:10D3\" ]", "[]", "'matches' is empty")]
    [InlineData("\"8086:100e\"", "\"8086-100e\"", "'matches' has '8086-100e'; write vendor:device, vendor:device:subvendor:subdevice, vendor:* or class:CC")]
    [InlineData("\"8086:100e\"", "\"8086:100e:1\"", "'matches' has '8086:100e:1'")]
    [InlineData("\"8086:100e\"", "null", "'matches' has ''")]
    [InlineData("\"1\"", "\"1\", \"dmaBytes\": 4095", "'dmaBytes' is 4095; allowed: 4096 to 1073741824")]
    [InlineData("\"1\"", "\"1\", \"dmaBytes\": 1073741825", "'dmaBytes' is 1073741825")]
    [InlineData("\"1\"", "\"1\", \"prefix\": \"\"", "'prefix' is ''; 1 to 16 small letters are allowed")]
    [InlineData("\"1\"", "\"1\", \"prefix\": \"sata.\"", "'prefix' is 'sata.'")]
    [InlineData("\"1\"", "\"1\", \"startLimit\": 0", "'startLimit' is 0; allowed: 1 to 600000 milliseconds")]
    [InlineData("\"1\"", "\"1\", \"answerLimit\": 600001", "'answerLimit' is 600001; allowed: 1 to 600000 milliseconds")]
    [InlineData("\"1\"", "\"1\", \"heartbeat\": { \"period\": 0 }", "'heartbeat.period' is 0; allowed: 1 to 60000 milliseconds")]
    [InlineData("\"1\"", "\"1\", \"heartbeat\": { \"period\": 100, \"limit\": 199 }", "'heartbeat.limit' is 199; allowed: twice the period (200) to 600000 milliseconds")]
    [InlineData("\"1\"", "\"1\", \"restart\": { \"maxPause\": 1 }", "'restart': 'maxPause' is 1; allowed: 'firstPause' to 600000 milliseconds")]
    [InlineData("\"1\"", "\"1\", \"limits\": { \"memoryBytes\": 50331647 }", "'limits.memoryBytes' is 50331647; allowed: 50331648 to 4294967296")]
    [InlineData("\"1\"", "\"1\", \"limits\": { \"descriptors\": 1025 }", "'limits.descriptors' is 1025; allowed: 32 to 1024")]
    [InlineData("\"1\"", "\"1\", \"limits\": { \"threads\": 3 }", "'limits.threads' is 3; allowed: 4 to 256")]
    [InlineData("\"1\"", "\"1\", \"limits\": { \"cores\": 3 }", "cores")]
    [InlineData("\"1\"", "\"1\", \"colour\": 1", "unknown key 'colour'; allowed here: name, version, executable, class, matches, prefix, dmaBytes, startLimit, answerLimit, heartbeat, restart, standby, limits")]
    [InlineData("\"1\"", "\"1\", \"version\": \"2\"", "version")]
    [InlineData("\"version\": \"1\",", "", "missing: 'version'")]
    [InlineData("[ \"8086:100e\", \"8086:10D3\" ]", "null", "matches")]
    [InlineData("}", "", "")]
    public void What_is_wrong_is_named_with_the_file(string part, string instead, string says)
    {
        string text = Good.Replace(part, instead, StringComparison.Ordinal);
        Assert.NotEqual(Good, text);
        Write("a.json", text);

        string failure = Failure();

        Assert.StartsWith(Path.Combine(Folder, "a.json"), failure, StringComparison.Ordinal);
        Assert.DoesNotContain("::", failure, StringComparison.Ordinal);
        Assert.Contains(says, failure, StringComparison.Ordinal);
    }

    private static PciIdentity Identity(ushort vendor, ushort device) => new(vendor, device, 0, 0, 0x020000, 0);

    private void Write(string name, string text) => File.WriteAllText(Path.Combine(Folder, name), text);

    private string Failure() => Assert.Throws<LinuxException>(() => new ManifestStore(Folder)).Message;
}
