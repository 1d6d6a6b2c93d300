using Xinim.Ipc.Native;
using Xinim.Ipc.Protocols;
using Xinim.Supervisor.Configuration;
using Xinim.Supervisor.Devices;
using Xinim.Supervisor.Policy;
using Xinim.Supervisor.Tests.Harness;

namespace Xinim.Supervisor.Tests.Devices;

/// <summary>A device whose other half goes away and comes back.</summary>
public sealed class BackEndTests
{
    private const string Away = "waiting for the back end at /run/s: Connection refused";

    [Fact]
    public void A_device_whose_back_end_is_away_waits_for_it_and_says_so()
    {
        using Bench bench = new(start: false);
        bench.Backend.Missing = Away;
        bench.Supervisor.Add(bench.Backend, new DeviceConfiguration { Device = bench.Backend.Name });
        bench.Settle();
        Assert.Equal((DeviceState.Waiting, Away, 0u), (bench.Device.State, bench.Device.Missing, bench.Device.Generation));
        Assert.Equal(Away, Assert.Single(bench.Supervisor.Report().Devices).WaitingFor);
        Assert.False(bench.HasNewDriver);

        bench.Backend.Missing = null;
        bench.NextReadyDriver();
        bench.Until(() => bench.Device.State == DeviceState.Ready, "it is ready");
        Assert.Null(bench.Device.Missing);
        Assert.Equal(1u, bench.Device.Generation);
        Assert.Single(bench.Log.Lines, line => line.Contains(Away, StringComparison.Ordinal));
    }

    [Fact]
    public void A_driver_ends_with_its_back_end_and_the_client_keeps_its_port()
    {
        using Bench bench = new();
        ScriptedClient client = bench.ConnectAndOpen(bench.NextReadyDriver());
        bench.Backend.Missing = Away;
        Descriptor.Signal(bench.Backend.Lost);
        bench.Until(() => bench.Device.Missing is not null, "it waits for the back end");
        Assert.Equal(FaultKind.Gone, bench.Device.LastFaultKind);
        Assert.NotNull(bench.Device.Client.Occupants);

        bench.Backend.Missing = null;
        bench.NextReadyDriver().Obey(ControlMessage.Attach).Dispose();
        bench.Until(() => bench.Device.State == DeviceState.Ready, "the next one serves");
        Assert.Equal(2u, bench.Device.Generation);
        Assert.NotNull(bench.Device.Client.Occupants);
    }

    [Fact]
    public void A_device_is_not_given_up_for_its_back_end()
    {
        // The policy gives up after five failures.
        using Bench bench = new();
        for (uint life = 1; life <= 8; life++)
        {
            bench.NextReadyDriver();
            bench.Until(() => bench.Device.State == DeviceState.Ready && bench.Device.Generation == life, $"driver {life} serves");
            bench.Backend.Missing = Away;
            Descriptor.Signal(bench.Backend.Lost);
            bench.Until(() => bench.Device.State == DeviceState.Waiting, "it waits");
            bench.Backend.Missing = null;
        }

        bench.NextReadyDriver();
        bench.Until(() => bench.Device.State == DeviceState.Ready, "the last one serves");
    }

    [Fact]
    public void A_driver_that_notices_first_is_not_blamed_either()
    {
        using Bench bench = new();
        ScriptedDriver driver = bench.NextReadyDriver();
        bench.Until(() => bench.Device.State == DeviceState.Ready, "it serves");
        // Lost is seen when the driver has ended: whoever comes first, it is one kind.
        bench.Backend.OnCall = call =>
        {
            if (call == "DisableInterrupts") bench.Backend.Missing = Away;
        };
        Descriptor.Signal(bench.Backend.Lost);
        driver.Exit(3);
        bench.Until(() => bench.Device.Missing is not null, "it waits");
        Assert.Equal(FaultKind.Gone, bench.Device.LastFaultKind);
    }

    [Fact]
    public void A_device_that_waits_can_be_stopped_and_started()
    {
        using Bench bench = new(start: false);
        bench.Backend.Missing = Away;
        bench.Supervisor.Add(bench.Backend, new DeviceConfiguration { Device = bench.Backend.Name });
        string? said = "nothing";
        bench.Device.Verbs.Stop(problem => said = problem);
        Assert.Equal((null, DeviceState.Stopped, null), (said, bench.Device.State, bench.Device.Missing));
        bench.Device.Verbs.Start(problem => said = problem);
        Assert.Equal((Away, DeviceState.Waiting), (said, bench.Device.State));
        bench.Backend.Missing = null;
        bench.NextReadyDriver();
        bench.Until(() => bench.Device.State == DeviceState.Ready, "it is ready");
    }
}
