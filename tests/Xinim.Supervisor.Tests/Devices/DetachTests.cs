using Xinim.Ipc.Native;
using Xinim.Ipc.Protocols;
using Xinim.Supervisor.Configuration;
using Xinim.Supervisor.Devices;
using Xinim.Supervisor.Tests.Harness;

namespace Xinim.Supervisor.Tests.Devices;

/// <summary>A device that somebody wants back is given up in order; others and the daemon go on.</summary>
public sealed class DetachTests
{
    [Fact]
    public void The_driver_finishes_the_device_becomes_quiet_and_everything_is_given_up()
    {
        using Bench bench = new();
        ScriptedDriver driver = bench.NextReadyDriver();
        ScriptedClient client = bench.ConnectAndOpen(driver);
        bench.Backend.Calls.Clear();

        Descriptor.Signal(bench.Backend.RemovalRequested);
        driver.Leave();

        Assert.Equal("it was unbound or unplugged", client.ExpectText(ClientMessage.Closed));
        bench.Until(() => bench.Backend.Calls.Contains("Dispose"), "the device is given up");
        Assert.Equal(["DisableInterrupts", "ClearBusMaster", "Reset"], bench.Backend.Calls.Take(3));
        Assert.Empty(bench.Backend.Mapped);
        Assert.Equal("none", bench.Supervisor.DeviceNames);
        client.SendOpen();
        Assert.Equal("there is no device 'net0'; the daemon has none", client.ExpectText(ClientMessage.Refused));
    }

    [Fact]
    public void A_driver_that_hangs_does_not_keep_the_device()
    {
        using Bench bench = new(answerLimit: 300);
        ScriptedDriver driver = bench.NextReadyDriver();
        driver.KeepQuestions = true;

        Descriptor.Signal(bench.Backend.RemovalRequested);

        bench.Until(() => bench.Backend.Calls.Contains("Dispose"), "the device is given up");
        Assert.False(driver.Exists);
    }

    [Fact]
    public void What_comes_in_its_place_gets_its_name_and_its_user()
    {
        using Bench bench = new();
        ScriptedDriver first = bench.NextReadyDriver();
        uint? user = bench.Device.Launch.User;
        Descriptor.Signal(bench.Backend.RemovalRequested);
        first.Leave();
        bench.Until(() => bench.Supervisor.DeviceNames == "none", "the device is given up");
        RecordingBackend second = new();

        bench.Supervisor.Add(second, new DeviceConfiguration { Device = second.Name });
        bench.NextReadyDriver();

        Assert.Equal(("net0", user, DeviceState.Ready), (bench.Device.Name, bench.Device.Launch.User, bench.Device.State));
        Descriptor.Signal(second.RemovalRequested);
        bench.Until(() => bench.Device.State == DeviceState.Stopping, "it is asked as well");
    }
}
