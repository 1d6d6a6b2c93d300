using Xinim.Ipc.Processes;
using Xinim.Ipc.Protocols;
using Xinim.Supervisor.Configuration;
using Xinim.Supervisor.Devices;
using Xinim.Supervisor.Policy;
using Xinim.Supervisor.Tests.Harness;

namespace Xinim.Supervisor.Tests.Devices;

/// <summary>When a driver is started again, when only after a pause, and when no more.</summary>
public sealed class RestartTests
{
    private const int GiveUpAfter = 5;

    [Fact]
    public void A_driver_that_never_starts_is_given_up_and_its_client_told_why()
    {
        using Bench bench = new();
        ScriptedClient client = bench.Connect();
        client.SendOpen();
        for (int start = 0; start <= GiveUpAfter; start++)
        {
            ScriptedDriver driver = bench.NextDriver();
            Assert.Equal((uint)start + 1, driver.Generation);
            driver.SayText(ControlMessage.Fault, "EEPROM is blank");
            driver.Exit(3);
            bench.Until(() => bench.Device.LastFault is not null && (bench.Device.State != DeviceState.Starting || bench.Device.Generation > driver.Generation), "its end is noticed");
            if (start is > 0 and < GiveUpAfter) Assert.Equal(DeviceState.Waiting, bench.Device.State);
        }

        Assert.Equal(DeviceState.Failed, bench.Device.State);
        Assert.Equal(FaultKind.Device, bench.Device.LastFaultKind);
        Assert.Equal("its driver failed 5 times in a row: EEPROM is blank (exit status 3)", client.ExpectText(ClientMessage.Closed));
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
    public void Every_driver_of_a_device_runs_on_its_processors()
    {
        using Bench bench = new(start: false);
        int last = Enumerable.Range(0, 1024).Last(Affinity.Allows);
        bench.Supervisor.Add(bench.Backend, new DeviceConfiguration { Device = bench.Backend.Name, Processors = [last] });
        for (int life = 0; life < 2; life++)
        {
            ScriptedDriver driver = bench.NextReadyDriver();
            Assert.Contains($"Cpus_allowed_list:\t{last}", File.ReadLines($"/proc/{bench.Device.Pid}/status"));
            driver.Kill();
        }
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
    public void The_first_failure_is_followed_by_a_restart_at_once_and_the_next_ones_by_pauses()
    {
        using Bench bench = new();
        bench.NextReadyDriver().Kill();
        bench.Until(() => bench.Device.LastFault is not null, "its end is noticed");
        Assert.Equal(DeviceState.Starting, bench.Device.State);
        bench.NextReadyDriver().Kill();
        bench.Until(() => bench.Device.State != DeviceState.Ready, "its end is noticed");
        Assert.Equal(DeviceState.Waiting, bench.Device.State);
        bench.NextReadyDriver();
        Assert.Equal((2u, FaultKind.Signal), (bench.Device.Restarts, bench.Device.LastFaultKind));
    }

    [Fact]
    public void Service_for_a_quiet_period_makes_failures_forgotten()
    {
        using Bench bench = new(policy: """ "standby": false, "heartbeat": { "limit": 600000 }, "restart": { "quietPeriod": 0, "giveUpAfter": 1 } """);
        for (int life = 0; life < 4; life++)
        {
            bench.NextReadyDriver().Kill();
            bench.Until(() => bench.Device.State != DeviceState.Ready, "its end is noticed");
            Assert.Equal(DeviceState.Starting, bench.Device.State);
        }
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
