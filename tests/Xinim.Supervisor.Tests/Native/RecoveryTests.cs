using System.Diagnostics;
using Xinim.Net.Ports;
using Xinim.Supervisor.Devices;
using Xinim.Supervisor.Status;
using Xinim.Supervisor.Tests.Harness;

namespace Xinim.Supervisor.Tests.Native;

/// <summary>Drivers are killed under traffic: the client notices nothing but time (invariant I4).</summary>
[Trait("needs", "qemu")]
public sealed class RecoveryTests
{
    [Theory]
    [InlineData("e1000")]
    [InlineData("e1000e")]
    public void Frames_in_flight_when_a_driver_dies_are_all_sent(string model)
    {
        const uint Count = 600, Burst = 40;
        using Machine machine = new(model);
        using NetworkPort port = machine.Open();
        HashSet<uint> arrived = [];
        for (uint number = 0; number < Count; number++)
        {
            Frames.Send(port, Frames.Make(number, Frames.LengthOf(number)));
            if (number % Burst != Burst - 1) continue;
            port.Flush();
            // Every third burst is with the driver when it is killed: nobody waited for it.
            if (number / Burst % 3 == 1) machine.KillDriver();
            Machine.Until(port, () => Collect(machine, arrived) > number, $"frame {number} and those before have arrived");
        }

        Machine.Until(port, () => port.TxIdle, "every buffer has come back");
        Assert.Equal(Count, (uint)arrived.Count);
        Assert.True(port.Recoveries <= 5, $"{machine}");
        Assert.Equal(0ul, port.RejectedFrames);
    }

    [Fact]
    public void Receiving_goes_on_with_the_next_driver()
    {
        using Machine machine = new("e1000");
        using NetworkPort port = machine.Open();
        for (uint life = 0; life < 4; life++)
        {
            AwaitFrom(machine, port, life);
            if (life == 3) break;
            machine.KillDriver();
            Machine.Until(port, () => port.Recoveries > life, "the next driver serves");
        }

        Assert.True(port.Generation >= 4);
    }

    [Fact]
    public void Nothing_grows_over_twenty_deaths()
    {
        using Machine machine = new("e1000");
        using NetworkPort port = machine.Open();
        (Held Held, string Regions)? first = null;
        for (uint life = 0; life < 20; life++)
        {
            machine.KillDriver();
            Machine.Until(port, () => port.Recoveries == life + 1, "the next driver serves");
            Machine.Until(port, () => machine.Report().StandbyPid is not null, "the one after that is kept ready");
            string regions = string.Join('\n', machine.Report().Regions);
            first ??= (Held.Now(), regions);
            first.Value.Held.AssertNothingMore(() => port.Wait(TimeSpan.FromMilliseconds(20)));
            Assert.Equal(first.Value.Regions, regions);
        }

        Assert.Equal(21u, port.Generation);
        Frames.Send(port, Frames.Make(7, 60));
        port.Flush();
        Assert.Equal(7u, Frames.NumberOf(machine.Wire.Receive(Machine.Limit)));
    }

    [Fact]
    public void Nothing_is_left_of_a_supervisor_that_is_over()
    {
        Held? first = null;
        for (int round = 0; round < 3; round++)
        {
            using (Machine machine = new("e1000"))
            {
                using NetworkPort port = machine.Open();
                machine.KillDriver();
                Machine.Until(port, () => port.Recoveries == 1, "the next driver serves");
            }

            first ??= Held.Now();
            first.AssertNothingMore(() => Thread.Yield());
        }
    }

    [Fact]
    public void A_device_model_that_is_killed_is_a_device_that_is_gone()
    {
        using Machine machine = new("e1000");
        using NetworkPort port = machine.Open();

        machine.KillModel();
        NetworkPortException exception = Assert.Throws<NetworkPortException>(() => Machine.Until(port, () => false, "the port hears of it"));

        Assert.Equal("its device model's process ended: killed by signal 9", exception.Message);
        DeviceReport report = machine.Report();
        Assert.Equal((DeviceState.Gone, (int?)null), (report.State, report.Pid));
        NetworkPortException again = Assert.Throws<NetworkPortException>(() => machine.Open());
        Assert.Equal("net0 has no driver: its device model's process ended: killed by signal 9", again.Message);
    }

    [Fact]
    public void A_device_model_that_hangs_is_ended_and_its_device_is_gone()
    {
        using Machine machine = new("e1000");
        using NetworkPort port = machine.Open();

        Stop(machine.ModelPid);
        using (Process driver = Process.GetProcessById(machine.Report().Pid!.Value)) driver.Kill();
        NetworkPortException exception = Assert.Throws<NetworkPortException>(() => Machine.Until(port, () => false, "the port hears of it"));

        Assert.Equal("its device model hung and was ended", exception.Message);
        Assert.Equal(DeviceState.Gone, machine.Report().State);
    }

    [Fact]
    public void A_driver_that_is_stopped_in_its_tracks_is_replaced()
    {
        using Machine machine = new("e1000");
        using NetworkPort port = machine.Open();
        using Process driver = Process.GetProcessById(machine.Report().Pid!.Value);

        Stop(driver.Id);
        Machine.Until(port, () => port.Recoveries == 1, "the next driver serves");

        Assert.True(machine.Log.Has("no heartbeat for"));
        AwaitFrom(machine, port, 5);
    }

    private static void Stop(int pid)
    {
        using Process stop = Process.Start("kill", ["-STOP", $"{pid}"]);
        stop.WaitForExit();
    }

    /// <summary>Sends a frame to the NIC until it arrives: a wire has no acknowledgement, and a NIC may miss what comes before its first buffer.</summary>
    private static void AwaitFrom(Machine machine, NetworkPort port, uint number)
    {
        Machine.Until(
            port,
            () =>
            {
                machine.Wire.Send(Frames.Make(number, 100));
                while (Frames.TryReceive(port) is { } frame)
                {
                    if (frame.AsSpan().SequenceEqual(Frames.Make(number, 100))) return true;
                }

                return false;
            },
            $"frame {number} is received");
    }

    private static uint Collect(Machine machine, HashSet<uint> arrived)
    {
        while (machine.Wire.Receive(TimeSpan.Zero) is { Length: > 0 } frame)
        {
            uint number = Frames.NumberOf(frame);
            Assert.True(frame.SequenceEqual(Frames.Make(number, Frames.LengthOf(number))), $"frame {number} arrived with other bytes");
            arrived.Add(number);
        }

        uint whole = 0;
        while (arrived.Contains(whole)) whole++;
        return whole;
    }
}
