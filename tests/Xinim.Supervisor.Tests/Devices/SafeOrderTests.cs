using System.Text;
using Xinim.Ipc.Protocols;
using Xinim.Supervisor.Devices;
using Xinim.Supervisor.Tests.Harness;

namespace Xinim.Supervisor.Tests.Devices;

/// <summary>Invariant I2: after a driver's end, however it comes, the device is made quiet in the one safe order before anything else happens.</summary>
public sealed class SafeOrderTests
{
    private static readonly string[] Quiet = ["DisableInterrupts", "ClearBusMaster", "Reset"];

    public enum End
    {
        Signal,
        Exit,
        CleanExit,
        FaultThenExit,
        ChannelClosed,
        WrongGeneration,
        UnknownMessage,
        AnswerNobodyAskedFor,
        ShortMessage,
        Nonsense,
        Flood,
        FloodOfLinkChanges,
    }

    [Theory]
    [InlineData(End.Signal, "killed by signal 9")]
    [InlineData(End.Exit, "exit status 7")]
    [InlineData(End.CleanExit, "exit status 0")]
    [InlineData(End.FaultThenExit, "TDH ran past the ring (exit status 3)")]
    [InlineData(End.ChannelClosed, "it closed its channel and did not end (killed by signal 9)")]
    [InlineData(End.WrongGeneration, "it broke the protocol: a message of generation 9, 1 runs (killed by signal 9)")]
    [InlineData(End.UnknownMessage, "it broke the protocol: an unasked message of type 4711 (killed by signal 9)")]
    [InlineData(End.AnswerNobodyAskedFor, "it broke the protocol: an answer to request 999, which nobody made (killed by signal 9)")]
    [InlineData(End.ShortMessage, "it broke the protocol: message 18 has 1 bytes, LinkState takes 12 (killed by signal 9)")]
    [InlineData(End.Nonsense, "it broke the protocol: a message of generation 4294967295, 1 runs (killed by signal 9)")]
    [InlineData(End.Flood, "it broke the protocol: 256 messages without being asked (killed by signal 9)")]
    [InlineData(End.FloodOfLinkChanges, "it broke the protocol: 256 messages without being asked (killed by signal 9)")]
    public void However_a_driver_ends_its_device_becomes_quiet_in_order(End end, string reason)
    {
        using Bench bench = new();
        ScriptedDriver first = bench.NextReadyDriver();
        ScriptedClient client = bench.ConnectAndOpen(first);
        List<string> seen = Watch(bench, first, client);

        Bring(bench, first, end);
        ScriptedDriver second = bench.NextDriver();

        Assert.Equal(Quiet, bench.Backend.Calls);
        Assert.Empty(seen);
        Assert.Equal(reason, bench.Device.LastFault);
        Assert.Equal(2u, second.Generation);
        Assert.Equal(DeviceState.Starting, bench.Device.State);
        AssertServesAgain(second, client);
    }

    [Fact]
    public void A_driver_that_never_gets_ready_is_ended_and_its_device_made_quiet()
    {
        using Bench bench = new(startLimit: 3_000);
        ScriptedDriver driver = bench.NextDriver();
        bench.Backend.Calls.Clear();
        bench.Backend.OnCall = _ => Assert.False(driver.Exists);

        bench.Until(() => bench.Device.LastFault is not null, "the driver is given up");

        Assert.Equal(Quiet, bench.Backend.Calls);
        Assert.Equal("no answer to Start within 3000 ms (killed by signal 9)", bench.Device.LastFault);
        Assert.Equal((DeviceState.Starting, 2u), (bench.Device.State, bench.Device.Generation));
    }

    [Fact]
    public void A_driver_that_hangs_is_ended_and_its_device_made_quiet()
    {
        using Bench bench = new(answerLimit: 1_000);
        ScriptedDriver driver = bench.NextReadyDriver();
        driver.Statistics = null;
        bench.Backend.Calls.Clear();
        bench.Backend.OnCall = _ => Assert.False(driver.Exists);

        bench.NextDriver();

        Assert.Equal(Quiet, bench.Backend.Calls);
        Assert.Equal("no answer to GetStatistics within 1000 ms (killed by signal 9)", bench.Device.LastFault);
    }

    [Fact]
    public void A_driver_that_answers_start_with_something_else_is_ended()
    {
        using Bench bench = new();
        ScriptedDriver driver = bench.NextDriver();

        driver.Say(ControlMessage.Done, 0u, driver.StartRequest);
        bench.Until(() => bench.Device.LastFault is not null, "the driver is given up");

        Assert.Equal("it broke the protocol: answer 16 to Start (killed by signal 9)", bench.Device.LastFault);
    }

    [Theory]
    [InlineData("DisableInterrupts")]
    [InlineData("ClearBusMaster")]
    [InlineData("Reset")]
    public void A_step_that_fails_does_not_keep_the_others_from_being_taken(string failing)
    {
        using Bench bench = new();
        ScriptedDriver driver = bench.NextReadyDriver();
        bench.Backend.Calls.Clear();
        bench.Backend.Failures[failing] = new Vfio.DeviceFaultException("no answer from it");

        driver.Kill();
        bench.NextDriver();

        Assert.Equal(Quiet, bench.Backend.Calls);
        Assert.Contains(bench.Log.Lines, line => line.StartsWith("Error", StringComparison.Ordinal) && line.Contains("no answer from it", StringComparison.Ordinal));
    }

    [Fact]
    public void What_a_killed_driver_still_says_is_void()
    {
        using Bench bench = new();
        ScriptedDriver driver = bench.NextDriver();

        // In one go: nonsense, and then what would make it a good driver.
        driver.SayBytes(4711, default);
        driver.Say(ControlMessage.Ready, ScriptedDriver.DefaultInfo, driver.StartRequest);
        bench.Until(() => bench.Device.LastFault is not null, "the driver is given up");

        Assert.Equal((DeviceState.Starting, 2u), (bench.Device.State, bench.Device.Generation));
        Assert.Equal(TimeSpan.Zero, bench.Device.Times.BringUp);
    }

    [Fact]
    public void Mappings_stay_as_they_are_over_any_number_of_drivers()
    {
        using Bench bench = new();
        ScriptedDriver driver = bench.NextReadyDriver();
        ScriptedClient client = bench.ConnectAndOpen(driver);
        ulong[] mapped = [.. bench.Backend.Mapped.Keys.Order()];
        bench.Backend.Calls.Clear();

        for (int life = 0; life < 4; life++)
        {
            driver.Kill();
            driver = bench.NextDriver();
            AssertServesAgain(driver, client);
        }

        Assert.Equal(mapped, bench.Backend.Mapped.Keys.Order());
        Assert.DoesNotContain("Map", bench.Backend.Calls);
        Assert.DoesNotContain("Unmap", bench.Backend.Calls);
        Assert.Equal(4u, bench.Device.Restarts);
    }

    [Fact]
    public void The_device_may_read_the_transmit_pool_only()
    {
        using Bench bench = new();
        bench.ConnectAndOpen(bench.NextReadyDriver());

        Assert.Equal(
            [Ipc.Memory.RegionAccess.ReadWrite, Ipc.Memory.RegionAccess.Read, Ipc.Memory.RegionAccess.ReadWrite],
            bench.Backend.Mapped.OrderBy(mapping => mapping.Key).Select(mapping => mapping.Value.Access));
    }

    /// <summary>Notes what is not as it must be whenever the device is touched.</summary>
    private static List<string> Watch(Bench bench, ScriptedDriver driver, ScriptedClient client)
    {
        List<string> wrong = [];
        int mappings = bench.Backend.Mapped.Count;
        bench.Backend.Calls.Clear();
        bench.Backend.OnCall = call =>
        {
            if (driver.Exists) wrong.Add($"{call}: the process is not dead and reaped");
            if (!client.Rings!.IsClosed) wrong.Add($"{call}: intake is open");
            if (bench.Backend.Mapped.Count != mappings) wrong.Add($"{call}: mappings were changed");
            if (bench.HasNewDriver) wrong.Add($"{call}: the next driver runs already");
        };
        return wrong;
    }

    private static void Bring(Bench bench, ScriptedDriver driver, End end)
    {
        switch (end)
        {
            case End.Signal: driver.Kill(); break;
            case End.Exit: driver.Exit(7); break;
            case End.CleanExit: driver.Exit(0); break;
            case End.FaultThenExit:
                driver.SayText(ControlMessage.Fault, "TDH ran past\nthe ring");
                driver.Exit(3);
                break;
            case End.ChannelClosed: driver.CloseChannel(); break;
            case End.WrongGeneration: driver.Say(ControlMessage.LinkChanged, LinkState.Down, generation: 9); break;
            case End.UnknownMessage: driver.SayBytes(4711, "?"u8); break;
            case End.AnswerNobodyAskedFor: driver.Say(ControlMessage.Done, 0u, request: 999); break;
            case End.ShortMessage: driver.SayBytes((uint)ControlMessage.LinkChanged, "?"u8); break;
            case End.Nonsense: driver.SayBytes(uint.MaxValue, Encoding.ASCII.GetBytes(new string('x', 60_000)), uint.MaxValue, uint.MaxValue); break;
            case End.Flood: Flood(bench, driver, () => driver.SayText(ControlMessage.Log, "again")); break;
            case End.FloodOfLinkChanges: Flood(bench, driver, () => driver.Say(ControlMessage.LinkChanged, LinkState.Down)); break;
        }
    }

    private static void Flood(Bench bench, ScriptedDriver driver, Action say)
    {
        // Not an answer in between: those show that the driver is still itself.
        driver.Statistics = null;
        for (int count = 0; count < 257; count++)
        {
            say();
            if (count % 64 == 63) bench.Settle();
        }
    }

    private static void AssertServesAgain(ScriptedDriver driver, ScriptedClient client)
    {
        driver.BeReady();
        using (Ipc.Channels.ChannelMessage attach = driver.Obey(ControlMessage.Attach))
            Assert.Equal(driver.Generation, attach.Get<AttachMessage>().Rings.Generation);
        client.AwaitReopened();
        Assert.Equal(driver.Generation, client.Opened.Rings.Generation);
        Assert.False(client.Rings!.IsClosed);
    }
}
