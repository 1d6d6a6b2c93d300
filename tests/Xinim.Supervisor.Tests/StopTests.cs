using Xinim.Ipc;
using Xinim.Ipc.Channels;
using Xinim.Ipc.Protocols;
using Xinim.Supervisor.Configuration;
using Xinim.Supervisor.Devices;
using Xinim.Supervisor.Manifests;
using Xinim.Supervisor.Tests.Harness;

namespace Xinim.Supervisor.Tests;

/// <summary>The way from SIGTERM to a machine as it was, and the way in.</summary>
public sealed class StopTests
{
    [Fact]
    public void A_driver_is_asked_to_stop_and_its_device_is_quiet_before_the_loop_ends()
    {
        using Bench bench = new();
        ScriptedDriver driver = bench.NextReadyDriver();
        ScriptedClient client = bench.ConnectAndOpen(driver);
        bench.Backend.Calls.Clear();
        bench.Backend.OnCall = _ => Assert.False(driver.Exists);

        bench.Supervisor.Stop();
        driver.Obey(ControlMessage.Quiesce).Dispose();
        // Its last completions are still to be read: intake ends with the driver.
        Assert.False(client.Rings!.IsClosed);
        driver.Obey(ControlMessage.Stop).Dispose();
        bench.Settle();
        Assert.Empty(bench.Backend.Calls);
        driver.Exit(0);
        bench.Supervisor.Run();

        Assert.Equal(["DisableInterrupts", "ClearBusMaster", "Reset"], bench.Backend.Calls);
        Assert.Equal(DeviceState.Stopped, bench.Device.State);
        Assert.True(client.Rings!.IsClosed);
        bench.Supervisor.Dispose();
        client.AwaitClosed();
        Assert.Empty(bench.Backend.Mapped);
        Assert.Equal("Dispose", bench.Backend.Calls[^1]);
        Assert.False(File.Exists(bench.PathOf("xinim.sock")));
    }

    [Fact]
    public void A_driver_that_does_not_stop_is_ended()
    {
        using Bench bench = new(answerLimit: 1_000);
        ScriptedDriver driver = bench.NextReadyDriver();
        driver.Statistics = null;

        bench.Supervisor.Stop();
        bench.Supervisor.Run();

        Assert.False(driver.Exists);
        Assert.Equal(DeviceState.Stopped, bench.Device.State);
    }

    [Fact]
    public void A_driver_that_is_starting_is_ended()
    {
        using Bench bench = new();
        ScriptedDriver driver = bench.NextDriver();

        bench.Supervisor.Stop();
        bench.Supervisor.Run();

        Assert.False(driver.Exists);
        Assert.Equal((DeviceState.Stopped, 0u), (bench.Device.State, bench.Device.Restarts));
    }

    [Fact]
    public void A_driver_that_is_waited_for_is_not_started_any_more()
    {
        using Bench bench = new();
        bench.NextDriver().Exit(1);
        bench.NextDriver().Exit(1);
        bench.Until(() => bench.Device.State == DeviceState.Waiting, "its end is noticed");

        bench.Supervisor.Stop();
        bench.Supervisor.Run();

        Assert.Equal((DeviceState.Stopped, 1u), (bench.Device.State, bench.Device.Restarts));
    }

    [Fact]
    public void Without_devices_the_loop_ends_at_once()
    {
        using Bench bench = new(start: false);

        bench.Supervisor.Stop();
        bench.Supervisor.Run();

        Assert.Equal("none", bench.Supervisor.DeviceNames);
    }

    [Fact]
    public void Disposing_of_a_running_supervisor_ends_drivers_before_their_memory_goes()
    {
        using Bench bench = new();
        ScriptedDriver driver = bench.NextReadyDriver();
        bench.ConnectAndOpen(driver);
        bench.Backend.Calls.Clear();
        bench.Backend.OnCall = _ => Assert.False(driver.Exists);

        bench.Supervisor.Dispose();

        Assert.Equal(["DisableInterrupts", "ClearBusMaster", "Reset"], bench.Backend.Calls[..3]);
        Assert.Empty(bench.Backend.Mapped);
    }

    [Fact]
    public void A_second_daemon_is_told_of_the_first_which_keeps_its_socket()
    {
        using Bench bench = new();
        DaemonConfiguration same = new() { Socket = bench.PathOf("xinim.sock") };

        LinuxException exception = Assert.Throws<LinuxException>(() => new Supervisor(same, new ManifestStore(bench.PathOf("drivers")), bench.Log));

        Assert.Contains("another daemon listens at", exception.Message, StringComparison.Ordinal);
        bench.ConnectAndOpen(bench.NextReadyDriver());
    }

    [Fact]
    public void A_socket_that_a_dead_daemon_left_is_taken_over()
    {
        using Bench bench = new(start: false);
        string left = bench.PathOf("left.sock");
        ChannelListener dead = ChannelListener.Listen(left, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        dead.Handle.Dispose();

        using Supervisor next = new(new DaemonConfiguration { Socket = left }, new ManifestStore(bench.PathOf("drivers")), bench.Log);

        ChannelListener.Connect(left).Dispose();
    }

    [Fact]
    public void A_socket_in_an_impossible_place_is_named_with_a_remedy()
    {
        using Bench bench = new(start: false);
        DaemonConfiguration bad = new() { Socket = bench.PathOf("driver/xinim.sock") };

        LinuxException exception = Assert.Throws<LinuxException>(() => new Supervisor(bad, new ManifestStore(bench.PathOf("drivers")), bench.Log));

        Assert.Contains("choose another 'socket' in the configuration", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_device_without_a_driver_is_refused_and_closed()
    {
        using Bench bench = new(start: false);
        RecordingBackend unknown = new() { Identity = new(0x1af4, 0x1041, 0, 0, 0x020000, 0) };

        LinuxException exception = Assert.Throws<LinuxException>(() => bench.Supervisor.Add(unknown, new DeviceConfiguration { Device = unknown.Name }));

        Assert.Equal("no driver is installed for 0000:00:03.0 (1af4:1041); installed: scripted", exception.Message);
        Assert.Equal(["Dispose"], unknown.Calls);
    }

    [Fact]
    public void Names_are_given_in_order_and_never_twice()
    {
        using Bench bench = new(start: false);
        RecordingBackend[] devices = [.. Enumerable.Range(2, 4).Select(slot => new RecordingBackend { Name = $"0000:00:0{slot}.0" })];

        bench.Supervisor.Add(devices[0], new DeviceConfiguration { Device = devices[0].Name, Name = "net1" });
        bench.Supervisor.Add(devices[1], new DeviceConfiguration { Device = devices[1].Name });
        bench.Supervisor.Add(devices[2], new DeviceConfiguration { Device = devices[2].Name, Name = "lan" });
        LinuxException exception = Assert.Throws<LinuxException>(() => bench.Supervisor.Add(devices[3], new DeviceConfiguration { Device = devices[3].Name, Name = "net0" }));

        Assert.Equal("net1, net0, lan", bench.Supervisor.DeviceNames);
        Assert.Contains("the name 'net0' of 0000:00:05.0 is another device's", exception.Message, StringComparison.Ordinal);
    }
}
