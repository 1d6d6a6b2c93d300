using Xinim.TestKit.E1000;
using Xunit;

namespace Xinim.Drivers.Tests.Network.E1000;

/// <summary>No reset of the MAC reaches the PHY: a driver must not inherit what the last one did to it.</summary>
public sealed class E1000PhyTests
{
    // Loopback, power-down, isolation [SDM §13.4.7].
    [Theory]
    [InlineData(E1000ModelKind.I82540, 0x4140)]
    [InlineData(E1000ModelKind.I82544, 0x1940)]
    [InlineData(E1000ModelKind.I82545, 0x1540)]
    [InlineData(E1000ModelKind.I82574, 0x4140)]
    public void A_phy_that_was_left_deaf_negotiates_again(E1000ModelKind kind, int left)
    {
        using E1000Bench bench = new(kind);
        bench.Model.PhyControl = (ushort)left;

        bench.Driver.Start();

        Assert.Equal(0x1140, bench.Model.PhyControl);
        Assert.Empty(bench.Model.Violations);
    }

    [Fact]
    public void A_phy_that_works_keeps_its_link()
    {
        using E1000Bench bench = new(E1000ModelKind.I82540);

        bench.Driver.Start();

        Assert.Equal(0, bench.Model.PhyWrites);
    }

    [Fact]
    public void A_device_without_a_phy_starts()
    {
        using E1000Bench bench = new(E1000ModelKind.I82545);
        bench.Model.HasPhy = false;

        bench.Driver.Start();

        Assert.True(bench.Model.Running);
        Assert.Equal(0, bench.Model.PhyWrites);
    }
}
