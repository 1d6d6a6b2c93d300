using Xinim.Supervisor.Devices;
using Xinim.Supervisor.Policy;
using Xinim.Supervisor.Tests.Harness;

namespace Xinim.Supervisor.Tests.Devices;

/// <summary>Hangs are noticed by a heart that stands still, whatever else the driver does.</summary>
public sealed class HeartbeatTests
{
    private const string Nervous = """ "standby": false, "heartbeat": { "period": 10, "limit": 300 } """;

    [Fact]
    public void A_driver_whose_heart_stops_is_replaced_in_the_safe_order()
    {
        using Bench bench = new(policy: Nervous);
        ScriptedDriver driver = bench.NextReadyDriver();
        Assert.Equal(10u, driver.StartedWith.HeartbeatPeriod);
        for (int beat = 0; beat < 20; beat++)
        {
            driver.Beat();
            bench.Supervisor.Loop.RunOnce(TimeSpan.FromMilliseconds(5));
        }

        Assert.Equal(DeviceState.Ready, bench.Device.State);
        bench.Backend.Calls.Clear();
        bench.Backend.OnCall = _ => Assert.False(driver.Exists);

        // It still answers questions: only its heart stands still.
        Assert.Equal(2u, bench.NextDriver().Generation);
        Assert.Equal(["DisableInterrupts", "ClearBusMaster", "Reset"], bench.Backend.Calls);
        Assert.Equal(("no heartbeat for 300 ms (killed by signal 9)", FaultKind.Hang), (bench.Device.LastFault, bench.Device.LastFaultKind));
    }

    [Fact]
    public void A_stopped_process_is_replaced()
    {
        using Bench bench = new(policy: Nervous);
        ScriptedDriver driver = bench.NextReadyDriver();
        driver.Beat();
        driver.Freeze();
        bench.NextDriver();
        Assert.False(driver.Exists);
        Assert.Equal(FaultKind.Hang, bench.Device.LastFaultKind);
    }

    [Fact]
    public void A_driver_that_is_still_starting_needs_no_heart()
    {
        using Bench bench = new(policy: Nervous);
        ScriptedDriver driver = bench.NextDriver();
        long start = Environment.TickCount64;
        bench.Until(() => Environment.TickCount64 - start > 600, "two limits are over");
        Assert.True(driver.Exists);
        driver.BeReady();
    }

    [Fact]
    public void Each_process_has_a_page_of_its_own()
    {
        using Bench bench = new(policy: Nervous);
        ScriptedDriver first = bench.NextReadyDriver();
        first.Kill();
        ScriptedDriver second = bench.NextReadyDriver();

        // The predecessor's page does not keep its successor alive.
        bench.Until(() =>
        {
            first.Beat();
            return bench.Device.Generation == 3;
        }, "the second is replaced");
        Assert.False(second.Exists);
    }
}
