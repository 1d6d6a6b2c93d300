using Xinim.Ipc.Channels;
using Xinim.Ipc.Protocols;
using Xinim.Supervisor.Tests.Harness;

namespace Xinim.Supervisor.Tests.Devices;

/// <summary>A port's rings are written by both: the first time that they are broken both get fresh ones, and how long that is remembered the policy says.</summary>
public sealed class ConsoleSlotTests
{
    private const uint Port = 1;

    [Fact]
    public void Rings_that_break_again_within_the_quiet_period_cost_the_client_its_port()
    {
        using Bench bench = new(deviceClass: "console");
        (ScriptedDriver driver, ScriptedClient client, ulong session) = Opened(bench);
        Break(driver, client, session);
        driver.Say(ControlMessage.PortFault, new PortFaultMessage(Port, session));
        Assert.Contains("refused its rings", client.ExpectText(ClientMessage.Closed), StringComparison.Ordinal);
        using ChannelMessage close = driver.Obey(ControlMessage.ClosePort);
        Assert.Equal(Port, close.Get<uint>());
    }

    [Fact]
    public void Rings_that_break_again_later_are_made_anew()
    {
        using Bench bench = new(deviceClass: "console", policy: """ "standby": false, "heartbeat": { "limit": 600000 }, "restart": { "quietPeriod": 0 } """);
        (ScriptedDriver driver, ScriptedClient client, ulong session) = Opened(bench);
        for (int time = 0; time < 3; time++) Break(driver, client, session);
        Assert.False(client.HasMessage);
    }

    [Fact]
    public void The_fault_of_a_former_client_is_not_the_present_one_s()
    {
        using Bench bench = new(deviceClass: "console");
        (ScriptedDriver driver, ScriptedClient former, ulong session) = Opened(bench);
        former.Dispose();
        driver.Obey(ControlMessage.ClosePort).Dispose();
        (ScriptedClient client, ulong own) = Open(bench, driver);
        Assert.NotEqual(session, own);
        driver.Say(ControlMessage.PortFault, new PortFaultMessage(Port, session));
        driver.Say(ControlMessage.PortFault, new PortFaultMessage(Port, session));
        bench.Settle();
        Assert.False(driver.IsAsked);
        Assert.False(client.HasMessage);
    }

    /// <summary>The driver finds the port's rings broken, and it and its client get fresh ones.</summary>
    private static void Break(ScriptedDriver driver, ScriptedClient client, ulong session)
    {
        driver.Say(ControlMessage.PortFault, new PortFaultMessage(Port, session));
        using ChannelMessage open = driver.Obey(ControlMessage.OpenPort);
        Assert.Equal(session, open.Get<OpenPortMessage>().Session);
        client.Expect(ClientMessage.Reopened).Dispose();
    }

    private static (ScriptedDriver Driver, ScriptedClient Client, ulong Session) Opened(Bench bench)
    {
        ScriptedDriver driver = bench.NextDriver();
        driver.Statistics = null;
        driver.Say(ControlMessage.Ready, new ConsoleDeviceInfo(4, 1), driver.StartRequest);
        driver.Say(ControlMessage.PortChanged, new ConsolePortInfo { Id = Port, Incarnation = 1, Flags = ConsolePortFlags.Present });
        (ScriptedClient client, ulong session) = Open(bench, driver);
        return (driver, client, session);
    }

    private static (ScriptedClient Client, ulong Session) Open(Bench bench, ScriptedDriver driver)
    {
        ScriptedClient client = bench.Connect();
        client.Send(ClientMessage.OpenConsole, new OpenConsoleMessage { Device = FixedText.From("con0"), Port = FixedText.From("1") });
        using ChannelMessage open = driver.Obey(ControlMessage.OpenPort);
        client.Expect(ClientMessage.Opened).Dispose();
        return (client, open.Get<OpenPortMessage>().Session);
    }
}
