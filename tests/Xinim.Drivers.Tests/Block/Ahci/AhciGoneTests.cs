using Xinim.Ipc.Protocols;
using Xinim.TestKit.Block.Ahci;
using Xinim.Vfio;
using Xunit;

namespace Xinim.Drivers.Tests.Block.Ahci;

/// <summary>A controller that is pulled reads as ones: no bit is waited for then. A wait that ends by its limit has looked ten times at least.</summary>
public sealed class AhciGoneTests
{
    private const int MostReads = 8;

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Stopping_it_waits_for_nothing(bool busy)
    {
        using AhciBench bench = new AhciBench(new AhciModel(ports: 1), [new AtaDiskModel()]).Started();
        bench.Model.Hold = busy;
        _ = bench.Client.Submit(BlockOperation.Write, 0, 1, 0, 512);
        bench.Client.Poll();
        bench.Model.Unplugged = true;
        AssertGone(bench, bench.Driver.Stop);
        Assert.False(bench.Model.Dma.Enabled);
    }

    [Fact]
    public void A_disk_that_was_to_become_ready_is_not_waited_for()
    {
        using AhciBench bench = new AhciBench(new AhciModel(ports: 1), [null]).Started();
        bench.Port.Plug(new AtaDiskModel { Ready = false });
        bench.Pass(2);
        bench.Model.Unplugged = true;
        // The register is read at one poll of sixteen.
        AssertGone(bench, () => { for (int i = 0; i < 16; i++) bench.Client.Poll(); });
    }

    [Fact]
    public void Bring_up_ends()
    {
        AhciBench bench = new(new AtaDiskModel());
        using (bench)
        {
            int reads = 0;
            Action<bool> told = bench.Model.Device.FakeConfig.BusMasterChanged!;
            // The controller is reset by then, its ports are not set up.
            bench.Model.Device.FakeConfig.BusMasterChanged = on =>
            {
                told(on);
                if (on) (bench.Model.Unplugged, reads) = (true, bench.Model.Reads);
            };
            Assert.Contains("does not answer", Assert.Throws<DeviceFaultException>(bench.Driver.Start).Message, StringComparison.Ordinal);
            Assert.InRange(bench.Model.Reads - reads, 1, MostReads);
        }

        Assert.Contains(bench.Log, line => line.Contains("PxCMD reads 0xffffffff", StringComparison.Ordinal));
        Assert.False(bench.Model.Dma.Enabled);
    }

    private static void AssertGone(AhciBench bench, Action act)
    {
        int before = bench.Model.Reads;
        Assert.Contains("does not answer", Assert.Throws<DeviceFaultException>(act).Message, StringComparison.Ordinal);
        Assert.InRange(bench.Model.Reads - before, 1, MostReads);
    }
}
