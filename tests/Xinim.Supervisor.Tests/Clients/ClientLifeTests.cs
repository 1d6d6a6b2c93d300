using Xinim.Ipc;
using Xinim.Ipc.Channels;
using Xinim.Ipc.Protocols;
using Xinim.Supervisor.Devices;
using Xinim.Supervisor.Tests.Harness;

namespace Xinim.Supervisor.Tests.Clients;

/// <summary>Clients come, wait, go and die at every moment of their device's life; memory goes only when the device does not know it any more.</summary>
public sealed class ClientLifeTests
{
    [Fact]
    public void A_client_that_comes_while_the_driver_starts_gets_the_device_when_it_is_ready()
    {
        using Bench bench = new();
        ScriptedDriver driver = bench.NextDriver();
        ScriptedClient client = bench.Connect();
        client.SendOpen();
        bench.Settle();
        Assert.False(client.HasMessage);

        driver.BeReady();
        driver.Obey(ControlMessage.Attach).Dispose();
        client.AwaitOpened();

        Assert.Equal(1u, client.Opened.Rings.Generation);
        Assert.Equal(1u, client.Opened.Info.Link.Up);
    }

    [Fact]
    public void There_is_one_client_at_a_time_and_others_hear_who_it_is()
    {
        using Bench bench = new();
        bench.ConnectAndOpen(bench.NextReadyDriver());
        ScriptedClient second = bench.Connect();

        second.SendOpen();

        Assert.Equal(
            $"net0 is in use by process {Environment.ProcessId} of user {Tmds.Linux.LibC.getuid()}; one client at a time",
            second.ExpectText(ClientMessage.Refused));
    }

    [Fact]
    public void An_unknown_device_is_refused_with_those_that_there_are()
    {
        using Bench bench = new();
        ScriptedClient client = bench.Connect();

        client.SendOpen(ScriptedClient.Wish("net7"));

        Assert.Equal("there is no device 'net7'; the daemon has net0", client.ExpectText(ClientMessage.Refused));
    }

    [Theory]
    [InlineData("net0")]
    [InlineData("0000:00:03.0")]
    [InlineData("00:03.0")]
    public void A_device_has_a_name_and_an_address(string name)
    {
        using Bench bench = new();

        Assert.Same(bench.Device, bench.Supervisor.Find(name));
    }

    [Fact]
    public void A_client_holds_one_device_and_keeps_it_when_it_asks_for_another()
    {
        using Bench bench = new();
        ScriptedClient client = bench.ConnectAndOpen(bench.NextReadyDriver());

        client.SendOpen();

        Assert.Equal("this connection holds net0 already", client.ExpectText(ClientMessage.Refused));
        Assert.NotNull(bench.Device.Client.Occupants);
    }

    [Fact]
    public void Memory_of_a_client_that_dies_goes_when_the_driver_has_given_it_up()
    {
        using Bench bench = new();
        ScriptedDriver driver = bench.NextReadyDriver();
        ScriptedClient client = bench.ConnectAndOpen(driver);

        client.Dispose();
        driver.Obey(ControlMessage.SetFilters).Dispose();
        using ChannelMessage detach = driver.Expect(ControlMessage.Detach);
        bench.Settle();
        Assert.Equal(3, bench.Backend.Mapped.Count);
        Assert.DoesNotContain("Unmap", bench.Backend.Calls);

        driver.Say(ControlMessage.Done, 0u, detach.Header.Request);
        bench.Until(() => bench.Backend.Mapped.Count == 1, "the memory is freed");
        Assert.Equal(DeviceState.Ready, bench.Device.State);
    }

    [Fact]
    public void A_driver_that_hangs_over_detach_is_ended_and_the_memory_freed_when_the_device_is_quiet()
    {
        using Bench bench = new(answerLimit: 3_000);
        ScriptedDriver driver = bench.NextReadyDriver();
        ScriptedClient client = bench.ConnectAndOpen(driver);
        bench.Backend.Calls.Clear();

        client.Dispose();
        driver.Obey(ControlMessage.SetFilters).Dispose();
        driver.Expect(ControlMessage.Detach).Dispose();
        bench.NextDriver();

        Assert.Equal(["DisableInterrupts", "ClearBusMaster", "Reset", "Unmap", "Unmap"], bench.Backend.Calls);
        Assert.Equal("no answer to Detach within 3000 ms (killed by signal 9)", bench.Device.LastFault);
    }

    [Fact]
    public void A_driver_that_refuses_to_detach_is_ended()
    {
        using Bench bench = new();
        ScriptedDriver driver = bench.NextReadyDriver();
        ScriptedClient client = bench.ConnectAndOpen(driver);
        bench.Backend.Calls.Clear();

        client.Dispose();
        driver.Obey(ControlMessage.SetFilters).Dispose();
        using ChannelMessage detach = driver.Expect(ControlMessage.Detach);
        driver.SayText(ControlMessage.Refused, "I want to keep it", detach.Header.Request);
        bench.NextDriver();

        Assert.Equal(["DisableInterrupts", "ClearBusMaster", "Reset", "Unmap", "Unmap"], bench.Backend.Calls);
        Assert.Contains("it does not detach: I want to keep it", bench.Device.LastFault, StringComparison.Ordinal);
    }

    [Fact]
    public void A_driver_that_dies_over_detach_leaves_the_memory_until_the_device_is_quiet()
    {
        using Bench bench = new();
        ScriptedDriver driver = bench.NextReadyDriver();
        ScriptedClient client = bench.ConnectAndOpen(driver);
        bench.Backend.Calls.Clear();

        client.Dispose();
        driver.Obey(ControlMessage.SetFilters).Dispose();
        driver.Expect(ControlMessage.Detach).Dispose();
        driver.Kill();
        bench.NextDriver();

        Assert.Equal(["DisableInterrupts", "ClearBusMaster", "Reset", "Unmap", "Unmap"], bench.Backend.Calls);
    }

    [Fact]
    public void A_client_that_dies_before_the_driver_knew_it_is_forgotten()
    {
        using Bench bench = new();
        ScriptedDriver driver = bench.NextDriver();
        ScriptedClient client = bench.Connect();
        client.SendOpen();
        bench.Until(() => bench.Backend.Mapped.Count == 3, "its memory is made");

        client.Dispose();
        bench.Until(() => bench.Backend.Mapped.Count == 1, "the memory is freed");

        driver.BeReady();
        bench.Settle();
        Assert.False(driver.IsAsked);
    }

    [Fact]
    public void A_client_that_dies_between_two_drivers_is_forgotten()
    {
        using Bench bench = new();
        ScriptedDriver first = bench.NextReadyDriver();
        ScriptedClient client = bench.ConnectAndOpen(first);
        first.Kill();
        ScriptedDriver second = bench.NextDriver();

        client.Dispose();
        bench.Until(() => bench.Backend.Mapped.Count == 1, "the memory is freed");

        second.BeReady();
        bench.Settle();
        Assert.False(second.IsAsked);
    }

    [Fact]
    public void A_client_that_dies_before_the_driver_answered_is_detached_all_the_same()
    {
        using Bench bench = new();
        ScriptedDriver driver = bench.NextReadyDriver();
        ScriptedClient client = bench.Connect();
        client.SendOpen();
        using ChannelMessage attach = driver.Expect(ControlMessage.Attach);

        client.Dispose();
        driver.Obey(ControlMessage.SetFilters).Dispose();
        driver.Say(ControlMessage.Done, 0u, attach.Header.Request);
        driver.Obey(ControlMessage.Detach).Dispose();

        bench.Until(() => bench.Backend.Mapped.Count == 1, "the memory is freed");
    }

    [Fact]
    public void The_next_client_waits_for_the_former_ones_memory_and_then_gets_the_device()
    {
        using Bench bench = new();
        ScriptedDriver driver = bench.NextReadyDriver();
        bench.ConnectAndOpen(driver).Dispose();
        driver.Obey(ControlMessage.SetFilters).Dispose();
        using ChannelMessage detach = driver.Expect(ControlMessage.Detach);
        ScriptedClient next = bench.Connect();
        next.SendOpen();
        ScriptedClient third = bench.Connect();
        third.SendOpen();
        Assert.Contains("net0 is in use by", third.ExpectText(ClientMessage.Refused), StringComparison.Ordinal);
        Assert.False(next.HasMessage);

        driver.Say(ControlMessage.Done, 0u, detach.Header.Request);
        driver.Obey(ControlMessage.Attach).Dispose();
        next.AwaitOpened();

        Assert.Equal(3, bench.Backend.Mapped.Count);
    }

    [Fact]
    public void A_waiting_client_that_dies_waits_no_more()
    {
        using Bench bench = new();
        ScriptedDriver driver = bench.NextReadyDriver();
        bench.ConnectAndOpen(driver).Dispose();
        driver.Obey(ControlMessage.SetFilters).Dispose();
        using ChannelMessage detach = driver.Expect(ControlMessage.Detach);
        ScriptedClient next = bench.Connect();
        next.SendOpen();
        bench.Settle();

        next.Dispose();
        bench.Settle();
        driver.Say(ControlMessage.Done, 0u, detach.Header.Request);
        bench.Until(() => bench.Backend.Mapped.Count == 1, "the memory is freed");

        Assert.False(driver.IsAsked);
        Assert.Null(bench.Device.Client.Occupants);
        bench.ConnectAndOpen(driver);
    }

    [Fact]
    public void Broken_rings_are_made_anew_once_and_then_cost_the_client_its_device()
    {
        using Bench bench = new();
        ScriptedDriver first = bench.NextReadyDriver();
        ScriptedClient client = bench.ConnectAndOpen(first);

        // Who of the two broke them cannot be told: the driver is replaced, the client goes on.
        first.SayText(ControlMessage.ClientFault, "index 99 leaves the ring");
        ScriptedDriver driver = bench.NextReadyDriver();
        driver.Obey(ControlMessage.Attach).Dispose();
        client.AwaitReopened();
        Assert.Equal("the rings between it and its client are broken: index 99 leaves the ring (killed by signal 9)", bench.Device.LastFault);

        driver.SayText(ControlMessage.ClientFault, "index 99 leaves the ring");

        Assert.Equal("the driver refused its rings: index 99 leaves the ring", client.ExpectText(ClientMessage.Closed));
        Assert.True(client.Rings!.IsClosed);
        Assert.Single(bench.Backend.Mapped);
        driver.Obey(ControlMessage.SetFilters).Dispose();
        bench.ConnectAndOpen(driver);
        Assert.Equal(2u, bench.Device.Generation);
    }

    [Fact]
    public void Clients_that_break_their_rings_do_not_get_the_device_given_up()
    {
        using Bench bench = new();
        for (int round = 0; round < 8; round++)
        {
            ScriptedDriver driver = bench.NextReadyDriver();
            using ScriptedClient client = bench.ConnectAndOpen(driver);
            client.Channel.SendText(new MessageHeader((uint)ClientMessage.ReportDriver, driver.Generation, 0), "nothing at all");
            bench.Until(() => bench.Device.Generation > driver.Generation || bench.Device.State == DeviceState.Waiting, "the driver is replaced");
        }

        bench.NextReadyDriver();
    }

    [Fact]
    public void A_client_whose_memory_the_driver_refuses_is_told_why()
    {
        using Bench bench = new();
        ScriptedDriver driver = bench.NextReadyDriver();
        ScriptedClient client = bench.Connect();
        client.SendOpen();
        using ChannelMessage attach = driver.Expect(ControlMessage.Attach);

        driver.SayText(ControlMessage.Refused, "too small", attach.Header.Request);

        Assert.Equal("the driver refused the client's memory: too small", client.ExpectText(ClientMessage.Closed));
        Assert.Single(bench.Backend.Mapped);
    }

    [Fact]
    public void A_reason_of_any_length_and_content_reaches_the_client_as_one_line()
    {
        using Bench bench = new();
        ScriptedDriver driver = bench.NextReadyDriver();
        ScriptedClient client = bench.Connect();
        client.SendOpen();
        using ChannelMessage attach = driver.Expect(ControlMessage.Attach);

        // Bytes that are no UTF-8: each becomes three.
        byte[] endless = new byte[Channel.MaxPayload];
        Array.Fill(endless, (byte)0xff);
        driver.SayBytes((uint)ControlMessage.Refused, endless, attach.Header.Request);

        string reason = client.ExpectText(ClientMessage.Closed);
        Assert.InRange(reason.Length, 1, 500);
        Assert.Equal(DeviceState.Ready, bench.Device.State);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public void Memory_that_cannot_be_mapped_is_refused_and_nothing_of_it_stays(int succeeding)
    {
        foreach (Exception failure in new Exception[] { new LinuxException("no mapping slots left"), new Vfio.DeviceFaultException("no answer from it") })
        {
            using Bench bench = new();
            ScriptedDriver driver = bench.NextReadyDriver();
            ScriptedClient client = bench.Connect();
            int maps = 0;
            bench.Backend.OnCall = call =>
            {
                if (call == "Map" && maps++ == succeeding) bench.Backend.Failures["Map"] = failure;
            };

            client.SendOpen();

            Assert.Equal(failure.Message, client.ExpectText(ClientMessage.Refused));
            Assert.Single(bench.Backend.Mapped);
            bench.Backend.OnCall = null;
            bench.Backend.Failures.Clear();
            client.SendOpen();
            driver.Obey(ControlMessage.Attach).Dispose();
            client.AwaitOpened();
        }
    }

    [Fact]
    public void News_of_the_link_reach_the_client_once()
    {
        using Bench bench = new();
        ScriptedDriver driver = bench.NextReadyDriver();
        ScriptedClient client = bench.ConnectAndOpen(driver);

        driver.Say(ControlMessage.LinkChanged, LinkState.Down);
        driver.Say(ControlMessage.LinkChanged, LinkState.Down);

        using (ChannelMessage news = client.Expect(ClientMessage.LinkChanged)) Assert.Equal(LinkState.Down, news.Get<LinkState>());
        bench.Settle();
        Assert.False(client.HasMessage);
    }
}
