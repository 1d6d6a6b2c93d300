using System.Diagnostics;
using System.Text.Json.Nodes;
using Xinim.Block.Clients;
using Xinim.Lab.Tests.Vfio;
using Xinim.Serial.Ports;
using Xinim.TestKit.Block;
using Xunit;

namespace Xinim.Lab.Tests.Drivers;

/// <summary>
/// Each virtio device behind a root port in each layout of its queues, one feature at a time: plugged by QEMU, used, its driver killed, used again, unplugged under load. Devices on the root bus, and
/// with several features off at once, are the standard machine's (<see cref="NicLabTests"/>, <see cref="DiskLabTests"/>, <see cref="ConsoleLabTests"/>).
/// </summary>
[Collection(nameof(VfioLab))]
[Trait("needs", "guest")]
public sealed class VirtioMatrixLabTests : IDisposable
{
    private const string Slot = "0000:01:00.0", Echo = "xinim.plug";
    private const int Bytes = 40_000, UnderWay = 8192;
    private readonly Qmp _qemu = new();
    private readonly LabDaemon _daemon = new([], others: $$"""{ "device": "{{Slot}}", "name": "plug", {{LabDaemon.NeverGivenUp}} }""");

    public void Dispose()
    {
        _daemon.Dispose();
        _qemu.Dispose();
    }

    [Theory]
    [InlineData("""{ }""")]
    [InlineData("""{ "packed": true }""")]
    [InlineData("""{ "mrg_rxbuf": false }""")]
    [InlineData("""{ "event_idx": false }""")]
    [InlineData("""{ "indirect_desc": false }""")]
    [InlineData("""{ "packed": true, "event_idx": false, "indirect_desc": false, "mrg_rxbuf": false }""")]
    public void Nic(string layout)
    {
        Plug("virtio-net-pci", layout, ("netdev", "net-plug"));
        Ping();
        KillDriver();
        Ping();
        Unplug();
    }

    [Theory]
    [InlineData("""{ }""")]
    [InlineData("""{ "packed": true }""")]
    [InlineData("""{ "num-queues": 4 }""")]
    [InlineData("""{ "event_idx": false }""")]
    [InlineData("""{ "indirect_desc": false }""")]
    [InlineData("""{ "packed": true, "num-queues": 4, "event_idx": false, "indirect_desc": false }""")]
    public async Task Disk(string layout)
    {
        Plug("virtio-blk-pci", layout, ("drive", "disk-plug"));
        using BlockClient disk = LabDisk.Open(_daemon, "plug");
        await disk.WriteZeroesAsync(0, 4096, cancellation: TestContext.Current.CancellationToken);
        DiskWorkers workers = new(disk);
        Until(() => workers.Failed || workers.Requests >= 100, "requests are answered");
        KillDriver();
        long before = workers.Requests;
        Until(() => workers.Failed || (workers.Requests >= before + 100 && disk.Recoveries == 1), "the next driver answers");
        await workers.StopAsync().WaitAsync(LabProgram.Limit, TestContext.Current.CancellationToken);
        byte[] expected = workers.Expected();
        using (BlockBuffer all = disk.Rent(expected.Length))
        {
            disk.Read(0, all);
            workers.Verify(all.Span);
        }

        Unplug();
    }

    // The driver takes no packed queues (docs/VIRTIO_CONSOLE.md): it has to do without where they are offered.
    [Theory]
    [InlineData("""{ }""")]
    [InlineData("""{ "packed": true }""")]
    [InlineData("""{ "event_idx": false }""")]
    [InlineData("""{ "indirect_desc": false }""")]
    public void Console(string layout)
    {
        Plug("virtio-serial-pci", layout);
        _qemu.Plug("port", "virtserialport", "plugged.0", ("chardev", "echo-plug"), ("name", Echo));
        Until(() => _daemon.Status("plug").GetProperty("ports").EnumerateArray().Any(port => port.GetProperty("name").GetString() == Echo), "the port is there");
        using ConsolePort port = ConsolePort.Open("plug", Echo, _daemon.Socket);
        Exchange(port, Bytes, killAt: Bytes / 2);
        Assert.Equal((1u, 0ul), (port.Recoveries, port.LostBytes));

        _qemu.Unplug("plugged");
        ConsolePortException told = Assert.Throws<ConsolePortException>(() => Exchange(port, int.MaxValue, killAt: int.MaxValue));
        Assert.Matches("unplugged|removed", told.Message);
        AwaitGone();
    }

    private void Plug(string model, string layout, params (string Key, JsonNode Value)[] properties)
    {
        (string, JsonNode)[] own = [.. JsonNode.Parse(layout)!.AsObject().Select(property => (property.Key, property.Value!.DeepClone()))];
        _qemu.Plug("plugged", model, "hotplug0", [("disable-legacy", "on"), ("iommu_platform", true), .. own, .. properties]);
        _daemon.Await("plug: generation 1 ready", 1);
    }

    private void KillDriver()
    {
        _daemon.KillDriver("plug");
        _daemon.Await("plug: generation 2 ready", 1);
    }

    private void Unplug()
    {
        _qemu.Unplug("plugged");
        AwaitGone();
    }

    private void AwaitGone()
    {
        _daemon.Await($"{Slot} is given up", 1);
        _qemu.AwaitUnplugged("plugged");
        Assert.Equal(0, _daemon.Terminate());
    }

    private void Ping()
    {
        (int status, string output, string error) = LabProgram.Run(LabDaemon.Executable, "ping", "plug", "10.0.2.2", "--count", "3", "--quiet", "--socket", _daemon.Socket);
        Assert.True(status == 0, $"{output}{error}\n{_daemon.Log}");
    }

    /// <summary>What is sent comes back, whole and in order, though the driver is killed over it.</summary>
    private void Exchange(ConsolePort port, int bytes, int killAt)
    {
        byte[] piece = new byte[1024];
        int written = 0, read = 0;
        long start = Stopwatch.GetTimestamp();
        while (read < bytes)
        {
            Assert.True(Stopwatch.GetElapsedTime(start) < LabProgram.Limit, $"{written} bytes were written and {read} came back\n{_daemon.Log}");
            int room = Math.Min(Math.Min(bytes - written, UnderWay - (written - read)), piece.Length);
            for (int i = 0; i < room; i++) piece[i] = ByteAt(written + i);
            written += port.Write(piece.AsSpan(0, Math.Max(room, 0)));
            int count = port.Read(piece);
            for (int i = 0; i < count; i++, read++) Assert.True(piece[i] == ByteAt(read), $"byte {read} is {piece[i]}, {ByteAt(read)} was sent");
            if (read >= killAt)
            {
                killAt = int.MaxValue;
                KillDriver();
            }

            if (count == 0) _ = port.Wait(TimeSpan.FromMilliseconds(20));
        }
    }

    /// <summary>No two stretches of a stream are alike.</summary>
    private static byte ByteAt(int position) => (byte)(((uint)position * 2654435761) >> 24);

    private void Until(Func<bool> condition, string what)
    {
        long start = Stopwatch.GetTimestamp();
        while (!condition())
        {
            Assert.True(Stopwatch.GetElapsedTime(start) < LabProgram.Limit, $"waited in vain until {what}\n{_daemon.Log}");
            Thread.Yield();
        }
    }
}
