using Xinim.Ipc.Memory;
using Xinim.Vfio;
using Xinim.Vfio.Dma;
using Xinim.Vfio.Registers;
using Xinim.Vfio.Vfio;
using Xunit;

namespace Xinim.Lab.Tests.Vfio;

/// <summary>send_msi and mix_and_match of Linux's vfio_pci_driver_test.c, on an 82574L; its memcpy scenarios stand in <see cref="VfioDmaTests"/>.</summary>
[Collection(nameof(VfioLab))]
public sealed class VfioDriverTests : IDisposable
{
    private const int FrameBytes = 512;
    private readonly LabDevice _lab = LabDevice.TakeE1000E();
    private readonly VfioBackend _backend;
    private readonly VfioPciDevice _driver;

    public VfioDriverTests()
    {
        _backend = _lab.Open();
        _driver = LabDevice.DriverOf(_backend);
    }

    [Theory]
    [InlineData(InterruptKind.Msi, 1)]
    [InlineData(InterruptKind.MsiX, 5)]
    public void Send_msi(InterruptKind kind, int vectors)
    {
        for (int vector = 0; vector < vectors; vector++)
        {
            using RawInterrupts interrupts = new(_driver, kind, vectors, vector);
            interrupts.Raise();
            Assert.True(LabDevice.Fires(interrupts.Events, vector), $"vector {vector}");
            for (int other = 0; other < vectors; other++) Assert.Equal(0ul, LabDevice.Take(interrupts.Events.EventOf(other), 0));
            interrupts.Silence();
        }
    }

    [Fact]
    public void Mix_and_match()
    {
        using SharedRegion rings = SharedRegion.Create("xinim-rings", 2 << 20);
        using SharedRegion data = SharedRegion.Create("xinim-data", 2 << 20);
        DmaRegion work = new(1, _backend.Map(rings, RegionAccess.ReadWrite), rings.Size, RegionAccess.ReadWrite, rings);
        Iova dataAt = _backend.Map(data, RegionAccess.ReadWrite);
        RawE1000 nic = new(_driver);
        nic.Start(new DmaArena(work));
        Wait.Until(() => nic.LinkIsUp, TimeSpan.FromSeconds(5), "STATUS.LU", TimeSpan.FromMilliseconds(5));
        using RawInterrupts interrupts = new(_driver, InterruptKind.Msi);

        for (int round = 1; round <= 10; round++)
        {
            data.Slice(0, FrameBytes).Fill((byte)round);
            data.Slice(4096, FrameBytes).Fill(0x11);
            Assert.True(nic.TryCopy(dataAt, dataAt + 4096, FrameBytes), $"round {round}: no transmit descriptor written back");
            Assert.True(nic.Received(), $"round {round}: no receive descriptor written back");
            Assert.True(data.Slice(4096, FrameBytes).SequenceEqual(data.Slice(0, FrameBytes)), $"round {round}: other bytes arrived");
            Assert.Equal(0ul, LabDevice.Take(interrupts.Events.EventOf(0), 0));

            interrupts.Raise();
            Assert.True(LabDevice.Fires(interrupts.Events, 0), $"round {round}: no interrupt");
            interrupts.Rearm();
        }

        interrupts.Silence();
    }

    public void Dispose()
    {
        _driver.Dispose();
        _backend.Dispose();
        _lab.Dispose();
    }
}
