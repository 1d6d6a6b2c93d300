using System.Diagnostics;
using Xinim.Block.Clients;
using Xinim.Block.Ports;
using Xinim.TestKit.Block;
using Xinim.TestKit.Virtio;

namespace Xinim.Supervisor.Tests.Native;

/// <summary>Disks of the published daemon: drivers and back ends are killed all the time, and every block is what it was written last.</summary>
[Trait("needs", "qemu")]
public sealed class VirtioBlkTests : IDisposable
{
    private const int Sectors = 16384;
    private const string Restart = """ "restart": { "firstPause": 0, "maxPause": 0, "giveUpAfter": 0 } """;
    private static readonly TimeSpan Pace = TimeSpan.FromMilliseconds(50);
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("xinim-blk-");

    public void Dispose() => _folder.Delete(recursive: true);

    [Theory]
    [InlineData("true", 1)]
    [InlineData("false", 4)]
    public async Task Every_block_is_what_it_was_written_last_whatever_becomes_of_drivers(string packed, int queues)
    {
        string image = MakeImage();
        using DaemonProcess daemon = new($$"""
            { "device": "remote:virtio-blk-pci", "drives": [ "{{image}}" ], "properties": { "num-queues": "{{queues}}", "packed": "on" }, "options": { "packed": {{packed}}, "queues": {{queues}} }, {{Restart}} }
            """);
        using BlockClient disk = Open(daemon);
        DiskWorkers workers = new(disk);
        daemon.KillDrivers(60, Pace);
        await StopAndVerify(daemon, disk, workers, image);
        Assert.True(disk.Recoveries > 10, $"{disk.Recoveries} recoveries\n{daemon}");
    }

    [Fact]
    public async Task A_disk_survives_its_drivers_and_its_back_end()
    {
        using StorageDaemon back = new(_folder.FullName, Sectors);
        back.Start();
        using DaemonProcess daemon = new($$"""{ "device": "vhost-user-blk:{{back.Socket}}", {{Restart}} }""");
        using BlockClient disk = Open(daemon);
        await disk.WriteZeroesAsync(0, Sectors, cancellation: TestContext.Current.CancellationToken);
        DiskWorkers workers = new(disk);
        daemon.KillDrivers(40, Pace);
        for (int life = 0; life < 5; life++)
        {
            back.Kill();
            back.Start();
            // The other way round as well: it comes back while a driver dies.
            if (life % 2 == 0) daemon.KillDrivers(1, TimeSpan.Zero);
            long answered = workers.Requests;
            Assert.True(SpinWait.SpinUntil(() => workers.Failed || workers.Requests > answered + 100, Machine.Limit), $"no request is answered\n{daemon}");
        }

        await StopAndVerify(daemon, disk, workers, back.Image);
        Assert.True(disk.Recoveries > 10, $"{disk.Recoveries} recoveries\n{daemon}");
    }

    [Fact]
    public void Commands()
    {
        string image = MakeImage(), data = PathOf("data"), copy = PathOf("copy");
        byte[] bytes = new byte[(3 << 20) + 700];
        new Random(9).NextBytes(bytes);
        File.WriteAllBytes(data, bytes);
        using DaemonProcess daemon = new($$"""{ "device": "remote:virtio-blk-pci", "drives": [ "{{image}}" ], "properties": { "serial": "SN-1" } }""");

        (int status, string output, string error) = daemon.Operate("disk", "write", "disk0", "--input", data, "--offset", "1000");
        Assert.NotEqual(0, status);
        Assert.Contains("say --yes-destroy-data", error, StringComparison.Ordinal);
        Assert.Equal(-1, File.ReadAllBytes(image).AsSpan().IndexOfAnyExcept((byte)0));

        Succeeds(daemon, "disk", "write", "disk0", "--input", data, "--offset", "1000", "--yes-destroy-data");
        Succeeds(daemon, "disk", "read", "disk0", "--offset", "1000", "--length", $"{bytes.Length}", "--output", copy);
        Assert.True(File.ReadAllBytes(copy).AsSpan().SequenceEqual(bytes));
        byte[] expected = new byte[Sectors * StorageDaemon.SectorBytes];
        bytes.CopyTo(expected, 1000);
        Assert.True(File.ReadAllBytes(image).AsSpan().SequenceEqual(expected));

        Succeeds(daemon, "disk", "trim", "disk0", "--offset", "1M", "--length", "64K", "--zeroes", "--yes-destroy-data");
        expected.AsSpan(1 << 20, 64 << 10).Clear();
        Assert.True(File.ReadAllBytes(image).AsSpan().SequenceEqual(expected));

        Assert.Contains("SN-1", Succeeds(daemon, "disk", "info", "disk0"), StringComparison.Ordinal);
        Assert.Contains("8388608", Succeeds(daemon, "disk", "list", "--json"), StringComparison.Ordinal);
        Assert.Matches(@"random read, 4096 bytes, depth 8, .* [1-9]\d* IOPS", Succeeds(daemon, "disk", "bench", "disk0", "--depth", "8", "--seconds", "0.3"));
        (status, output, error) = daemon.Operate("disk", "read", "disk0", "--offset", "8M", "--length", "1", "--output", copy);
        Assert.Equal((1, ""), (status, output));
        Assert.Matches(@"^xinim: .*8388608.*\n$", error);
        (status, output, error) = daemon.Operate("disk", "write", "disk0", "--input", data, "--offset", "7M", "--yes-destroy-data");
        Assert.NotEqual(0, status);
        Assert.Matches(@"^xinim: .*\n$", error);
    }

    [Fact]
    public void What_others_read_in_the_image_is_what_was_written()
    {
        string image = MakeImage();
        using DaemonProcess daemon = new($$"""{ "device": "remote:virtio-blk-pci", "drives": [ "{{image}}" ], {{Restart}} }""");
        using (BlockClient disk = Open(daemon))
        {
            using BlockBuffer buffer = disk.Rent(1 << 20);
            buffer.Span.Fill(0xa7);
            disk.Write(2048, buffer);
            daemon.KillDrivers(1, TimeSpan.Zero);
            buffer.Span.Fill(0x3c);
            disk.Write(4096, buffer, durable: true);
        }

        Run("qemu-io", "-U", "-r", "-f", "raw", "-c", "read -P 0xa7 1M 1M", "-c", "read -P 0x3c 2M 1M", "-c", "read -P 0 3M 5M", image);
    }

    private static string Succeeds(DaemonProcess daemon, params string[] arguments)
    {
        (int status, string output, string error) = daemon.Operate(arguments);
        Assert.True(status == 0, $"{string.Join(' ', arguments)}: status {status}: {error}\n{daemon}");
        return output;
    }

    private static BlockClient Open(DaemonProcess daemon) => BlockClient.Open("disk0", new BlockPortOptions { PoolBytes = 1 << 20, RetryBudget = int.MaxValue, AnswerLimit = Machine.Limit }, daemon.Socket);

    /// <summary>Read through the driver, in the image, and by QEMU's tools.</summary>
    private async Task StopAndVerify(DaemonProcess daemon, BlockClient disk, DiskWorkers workers, string image)
    {
        await workers.StopAsync();
        await disk.FlushAsync();
        byte[] expected = workers.Expected();
        using BlockBuffer all = disk.Rent(expected.Length);
        await disk.ReadAsync(0, all);
        workers.Verify(all.Span);
        workers.Verify(File.ReadAllBytes(image));
        string other = PathOf("expected");
        Array.Resize(ref expected, Sectors * StorageDaemon.SectorBytes);
        File.WriteAllBytes(other, expected);
        Run("qemu-img", "compare", "-U", "-f", "raw", "-F", "raw", image, other);
        Assert.True(workers.Requests > 100, $"{workers.Requests} requests\n{daemon}");
    }

    private static void Run(string program, params string[] arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        string said = process.StandardOutput.ReadToEnd() + process.StandardError.ReadToEnd();
        process.WaitForExit();
        Assert.True(process.ExitCode == 0, $"{program} {string.Join(' ', arguments)}: status {process.ExitCode}: {said}");
    }

    private string MakeImage()
    {
        string image = PathOf("image");
        File.WriteAllBytes(image, new byte[Sectors * StorageDaemon.SectorBytes]);
        // Device models run as a user of their own where the test is root.
        File.SetUnixFileMode(_folder.FullName, (UnixFileMode)0b111_101_101);
        File.SetUnixFileMode(image, (UnixFileMode)0b110_110_110);
        return image;
    }

    private string PathOf(string name) => Path.Combine(_folder.FullName, name);
}
