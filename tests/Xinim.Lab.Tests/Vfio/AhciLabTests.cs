using System.Diagnostics;
using Xinim.Drivers;
using Xinim.Drivers.Block;
using Xinim.Drivers.Block.Ahci;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Native;
using Xinim.Ipc.Protocols;
using Xinim.TestKit.Block;
using Xinim.Vfio;
using Xinim.Vfio.Dma;
using Xinim.Vfio.Vfio;
using Xunit;

namespace Xinim.Lab.Tests.Vfio;

/// <summary>The AHCI driver on VFIO, with MSI and INTx, and Linux's own driver on the same disks before and after it.</summary>
[Collection(nameof(VfioLab))]
[Trait("needs", "guest")]
public sealed class AhciLabTests
{
    private const string Address = "0000:00:06.0";
    private const int Bytes = 1 << 20, Sector = 512;

    public AhciLabTests() => LabDevice.RequireLab();

    [Theory]
    [InlineData(InterruptKind.Msi)]
    [InlineData(InterruptKind.Intx)]
    public void Linux_reads_what_was_written_here_and_the_other_way_round(InterruptKind kind)
    {
        byte[] theirs = new byte[Bytes], ours = new byte[Bytes];
        new Random((int)kind).NextBytes(theirs);
        new Random((int)kind + 10).NextBytes(ours);
        using (FileStream linux = OpenDiskOfLinux(65536))
        {
            linux.Position = 8 << 20;
            linux.Write(theirs);
            linux.Flush(flushToDisk: true);
        }

        using (LabDevice lab = LabDevice.Take(0x8086, 0x2922))
        using (VfioBackend backend = lab.Open())
        using (VfioPciDevice device = LabDevice.DriverOf(backend))
        using (IDeviceInterrupts interrupts = device.EnableInterrupts(kind, 1))
        using (SharedRegion work = SharedRegion.Create("work", 8 << 20, PageChoice.Ordinary))
        using (SharedRegion pool = SharedRegion.Create("pool", 4 << 20, PageChoice.Ordinary))
        {
            DmaRegion workRegion = new(1, backend.Map(work, RegionAccess.ReadWrite), work.Size, RegionAccess.ReadWrite, work);
            DmaRegion poolRegion = new(2, backend.Map(pool, RegionAccess.ReadWrite), pool.Size, RegionAccess.ReadWrite, pool);
            List<string> log = [];
            using AhciDriver driver = new(new DriverContext(device, interrupts, new DmaArena(workRegion), log.Add));
            IReadOnlyList<IControllerUnit> units = driver.Start();
            Assert.Equal((64ul << 20, 32ul << 20), (units[0].Info.Bytes, units[1].Info.Bytes));
            Assert.Contains(log, line => line.Contains("port 2", StringComparison.Ordinal));
            using UnitClient disk = new(units[0], poolRegion, () => { });
            disk.Attach();
            Transfer(driver, interrupts, disk, BlockOperation.Read, (8 << 20) / Sector);
            Assert.True(disk.Memory[..Bytes].SequenceEqual(theirs));
            ours.CopyTo(disk.Memory);
            Transfer(driver, interrupts, disk, BlockOperation.Write, (16 << 20) / Sector);
            Assert.Equal(BlockStatus.Ok, disk.Run(BlockOperation.Flush, 0, 0, 0));
            Assert.NotEqual(0ul, units[0].Statistics.Interrupts);
        }

        using (FileStream linux = OpenDiskOfLinux(65536))
        {
            byte[] read = new byte[Bytes];
            linux.Position = 16 << 20;
            linux.ReadExactly(read);
            Assert.Equal(ours, read);
        }
    }

    /// <summary>A request at a time, each awaited asleep, as the host's loop does.</summary>
    private static void Transfer(AhciDriver driver, IDeviceInterrupts interrupts, UnitClient disk, BlockOperation operation, ulong lba)
    {
        const int Piece = 65536;
        for (int at = 0; at < Bytes; at += Piece)
        {
            ulong cookie = disk.Submit(operation, lba + ((ulong)at / Sector), Piece / Sector, at, Piece);
            BlockCompletion answer;
            for (int sleeps = 0; ; sleeps++)
            {
                disk.Poll();
                driver.ArmInterrupts();
                disk.Poll();
                if (disk.TryTake(cookie, out answer)) break;
                Assert.True(Descriptor.Poll(10_000, interrupts.EventOf(0)) != 0, $"no interrupt for {operation} at {at}");
                driver.OnInterrupt(0);
                interrupts.Acknowledge(0);
                Assert.InRange(sleeps, 0, 100);
            }

            driver.MaskInterrupts();
            Assert.Equal(BlockStatus.Ok, answer.Status);
        }
    }

    /// <summary>The disk with so many KiB; Linux finds its disks in its own time, and shows them before they can be opened.</summary>
    private static FileStream OpenDiskOfLinux(int kibibytes)
    {
        LabDevice.Shell("modprobe", "ahci");
        LabDevice.Shell("modprobe", "sd_mod");
        if (!Directory.Exists("/sys/bus/pci/drivers/ahci/" + Address)) File.WriteAllText("/sys/bus/pci/drivers/ahci/bind", Address);
        long start = Stopwatch.GetTimestamp();
        string size = $"{2 * kibibytes}\n";
        while (true)
        {
            try
            {
                string? block = Array.Find(Directory.GetDirectories("/sys/block", "sd*"), block => File.ReadAllText($"{block}/size") == size);
                if (block is not null) return File.Open($"/dev/{Path.GetFileName(block)}", FileMode.Open, FileAccess.ReadWrite);
            }
            catch (IOException exception) when (Stopwatch.GetElapsedTime(start) < LabProgram.Limit)
            {
                TestContext.Current.TestOutputHelper?.WriteLine(exception.Message);
            }

            if (Stopwatch.GetElapsedTime(start) > LabProgram.Limit) throw new TimeoutException($"Linux found no disk of {kibibytes} KiB within {LabProgram.Limit}");
            Thread.Yield();
        }
    }
}
