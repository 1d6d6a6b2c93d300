using Xinim.Ipc.Protocols;
using Xinim.Supervisor.Configuration;
using Xinim.Supervisor.Devices;
using Xinim.Supervisor.Tests.Harness;

namespace Xinim.Supervisor.Tests.Devices;

/// <summary>When a driver is started again, when only after a pause, and when no more.</summary>
public sealed class RestartTests
{
    private const int MaxFailedStarts = 6, MaxShortLives = 8;

    [Fact]
    public void A_driver_that_never_starts_is_given_up_and_its_client_told_why()
    {
        using Bench bench = new();
        ScriptedClient client = bench.Connect();
        client.SendOpen();
        for (int start = 0; start < MaxFailedStarts; start++)
        {
            ScriptedDriver driver = bench.NextDriver();
            Assert.Equal((uint)start + 1, driver.Generation);
            driver.SayText(ControlMessage.Fault, "EEPROM is blank");
            driver.Exit(3);
            bench.Until(() => bench.Device.State != DeviceState.Starting, "its end is noticed");
            if (start < MaxFailedStarts - 1) Assert.Equal(DeviceState.Waiting, bench.Device.State);
        }

        Assert.Equal(DeviceState.Failed, bench.Device.State);
        Assert.Equal("its driver failed to start 6 times: EEPROM is blank (exit status 3)", client.ExpectText(ClientMessage.Closed));
        Assert.Equal("Reset", bench.Backend.Calls.Last(call => call != "Unmap"));
        Assert.Single(bench.Backend.Mapped);
    }

    [Fact]
    public void Every_driver_of_a_device_is_given_its_options()
    {
        using Bench bench = new(start: false);
        Dictionary<string, string> options = new() { ["rings"] = "512", ["mode"] = "x" };
        bench.Supervisor.Add(bench.Backend, new DeviceConfiguration { Device = bench.Backend.Name, Options = options });
        ScriptedDriver first = bench.NextReadyDriver();
        Assert.Equal(options, first.StartedWith.Options.ToDictionary());

        first.Kill();

        Assert.Equal(options, bench.NextDriver().StartedWith.Options.ToDictionary());
    }

    [Fact]
    public void A_given_up_device_is_refused_with_the_reason()
    {
        using Bench bench = new();
        ScriptedDriver last = bench.NextReadyDriver();
        File.Delete(bench.PathOf("driver"));
        last.Kill();
        bench.Until(() => bench.Device.State == DeviceState.Failed, "the device is given up");
        ScriptedClient client = bench.Connect();

        client.SendOpen();

        string reason = client.ExpectText(ClientMessage.Refused);
        Assert.StartsWith("net0 has no driver: cannot start", reason, StringComparison.Ordinal);
        Assert.Contains("No such file", reason, StringComparison.Ordinal);
        Assert.Null(bench.Device.Pid);
        Assert.False(bench.HasNewDriver);
    }

    [Fact]
    public void A_start_that_succeeds_makes_the_failed_ones_forgotten()
    {
        using Bench bench = new();
        for (int round = 0; round < 2; round++)
        {
            for (int start = 0; start < MaxFailedStarts - 2; start++)
            {
                bench.NextDriver().Exit(3);
                bench.Until(() => bench.Device.State == DeviceState.Waiting, "its end is noticed");
            }

            bench.NextReadyDriver().Kill();
        }

        bench.NextReadyDriver();
        Assert.Equal(DeviceState.Ready, bench.Device.State);
    }

    [Fact]
    public void Drivers_that_die_as_soon_as_they_are_ready_follow_each_other_with_a_pause_in_the_end()
    {
        using Bench bench = new();
        for (int life = 0; life < MaxShortLives + 1; life++)
        {
            ScriptedDriver driver = bench.NextDriver();
            driver.Statistics = null;
            driver.BeReady();
            driver.Kill();
            bench.Until(() => bench.Device.State != DeviceState.Ready, "its end is noticed");
            Assert.Equal(life < MaxShortLives ? DeviceState.Starting : DeviceState.Waiting, bench.Device.State);
        }

        // A life that answers is no short one: the next death is followed by a start at once again.
        ScriptedDriver good = bench.NextReadyDriver();
        good.Statistics = new NetworkStatistics { RxFrames = 1 };
        bench.Until(() => bench.Device.Client.Statistics.RxFrames == 1, "it answers");
        good.Kill();
        bench.Until(() => bench.Device.State != DeviceState.Ready, "its end is noticed");
        Assert.Equal(DeviceState.Starting, bench.Device.State);
    }

    [Fact]
    public void A_disappeared_device_gets_no_driver_and_its_clients_are_told()
    {
        using Bench bench = new();
        ScriptedDriver driver = bench.NextReadyDriver();
        ScriptedClient client = bench.ConnectAndOpen(driver);
        bench.Backend.Calls.Clear();

        bench.Supervisor.Disappear(bench.Backend, "it was pulled");
        Assert.Equal("it was pulled", client.ExpectText(ClientMessage.Closed));

        Assert.False(driver.Exists);
        Assert.Equal(DeviceState.Gone, bench.Device.State);
        Assert.Equal(["Unmap", "Unmap"], bench.Backend.Calls);
        ScriptedClient late = bench.Connect();
        late.SendOpen();
        Assert.Equal("net0 has no driver: it was pulled", late.ExpectText(ClientMessage.Refused));
    }

    [Fact]
    public void A_device_that_disappears_while_one_client_leaves_and_another_waits_tells_the_other()
    {
        using Bench bench = new();
        ScriptedDriver driver = bench.NextReadyDriver();
        bench.ConnectAndOpen(driver).Dispose();
        driver.Expect(ControlMessage.SetFilters).Dispose();
        driver.Expect(ControlMessage.Detach).Dispose();
        ScriptedClient next = bench.Connect();
        next.SendOpen();
        bench.Settle();
        bench.Backend.Failures["Map"] = new Vfio.DeviceFaultException("it answers no more");

        bench.Supervisor.Disappear(bench.Backend, "it was pulled");

        Assert.Equal("it was pulled", next.ExpectText(ClientMessage.Closed));
        Assert.Single(bench.Backend.Mapped);
    }
}
