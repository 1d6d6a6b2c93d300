using Xinim.Net.Ports;

namespace Xinim.Net.Tests.Ports;

/// <summary>A driver that answers everybody and does nothing is noticed by its client.</summary>
public sealed class StallTests
{
    private static readonly NetworkPortOptions s_hasty = new() { TxBuffers = 8, RxBuffers = 8, BufferBytes = 256, StallLimit = TimeSpan.FromMilliseconds(100) };

    [Fact]
    public void A_driver_that_sends_nothing_is_reported_once_and_its_successor_gets_the_frame()
    {
        using PortFixture fixture = new(s_hasty);
        fixture.Send(42);
        fixture.WaitFor(() => fixture.Daemon.DriverReports.Count > 0);
        Assert.Equal((1u, "it sends none of the frames that it was given"), Assert.Single(fixture.Daemon.DriverReports));

        fixture.Reincarnate();

        Assert.Equal([42], Assert.Single(fixture.Nic.Frames));
        fixture.Nic.Complete();
        fixture.WaitFor(() => fixture.Port.Collect() != 0 || fixture.Port.TxIdle);
        Assert.Single(fixture.Daemon.DriverReports);
    }

    [Fact]
    public void With_the_link_down_nothing_is_expected()
    {
        using PortFixture fixture = new(s_hasty);
        fixture.Daemon.SendLink(default);
        fixture.WaitFor(() => fixture.Port.Link.Up == 0);
        fixture.Send(1);
        long start = Environment.TickCount64;
        fixture.WaitFor(() => Environment.TickCount64 - start > 400);
        Assert.Empty(fixture.Daemon.DriverReports);
    }

    [Fact]
    public void A_driver_that_closes_its_own_rings_is_reported()
    {
        using PortFixture fixture = new();
        fixture.Daemon.Kill();
        fixture.WaitFor(() => fixture.Daemon.DriverReports.Count > 0);
        Assert.Equal((1u, "its rings were closed, and not by the daemon"), Assert.Single(fixture.Daemon.DriverReports));
        fixture.Daemon.Revive();
        fixture.WaitFor(() => fixture.Port.Recoveries == 1);
    }
}
