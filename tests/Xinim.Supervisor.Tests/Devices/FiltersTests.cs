using System.Runtime.InteropServices;
using Xinim.Ipc.Channels;
using Xinim.Ipc.Protocols;
using Xinim.Supervisor.Tests.Harness;

namespace Xinim.Supervisor.Tests.Devices;

/// <summary>A client sets its filters once; drivers come and go.</summary>
public sealed class FiltersTests
{
    private static readonly NetworkFilters Wanted = new() { Flags = NetworkFilterFlags.Promiscuous, MaxFrame = 9000 };

    [Fact]
    public void A_new_driver_is_started_with_the_filters_and_not_asked_again()
    {
        using Bench bench = new();
        ScriptedDriver first = bench.NextReadyDriver();
        ScriptedClient client = bench.ConnectAndOpen(first);
        client.Send(ClientMessage.SetFilters, Wanted, request: 5);
        first.Obey(ControlMessage.SetFilters).Dispose();
        using (ChannelMessage done = client.Expect(ClientMessage.Done)) Assert.Equal(5u, done.Header.Request);

        first.Kill();
        ScriptedDriver second = bench.NextReadyDriver();

        AssertStartedWith(second, Wanted);
        second.Obey(ControlMessage.Attach).Dispose();
        client.AwaitReopened();
    }

    [Fact]
    public void Filters_that_are_forgotten_while_a_driver_starts_with_them_are_taken_out_of_it()
    {
        using Bench bench = new();
        ScriptedDriver first = bench.NextReadyDriver();
        ScriptedClient client = bench.ConnectAndOpen(first);
        client.Send(ClientMessage.SetFilters, Wanted);
        first.Obey(ControlMessage.SetFilters).Dispose();
        client.Expect(ClientMessage.Done).Dispose();
        first.Kill();
        ScriptedDriver second = bench.NextDriver();
        client.Dispose();
        bench.Until(() => bench.Device.Client.Occupants is null, "the client has gone");
        AssertStartedWith(second, Wanted);

        second.BeReady();

        AssertAsked(second, default);
        second.Kill();
        AssertStartedWith(bench.NextReadyDriver(), default);
    }

    [Fact]
    public void Refused_filters_are_not_tried_on_the_next_driver()
    {
        using Bench bench = new();
        ScriptedDriver first = bench.NextReadyDriver();
        ScriptedClient client = bench.ConnectAndOpen(first);
        client.Send(ClientMessage.SetFilters, Wanted);
        using (ChannelMessage asked = first.Expect(ControlMessage.SetFilters)) first.SayText(ControlMessage.Refused, "16110 bytes at the most", asked.Header.Request);
        Assert.Equal("16110 bytes at the most", client.ExpectText(ClientMessage.Refused));

        first.Kill();
        ScriptedDriver second = bench.NextReadyDriver();
        AssertStartedWith(second, default);
        second.Obey(ControlMessage.Attach).Dispose();
    }

    [Fact]
    public void Filters_that_a_driver_died_over_are_set_by_the_next_one_and_the_client_sees_no_failure()
    {
        using Bench bench = new();
        ScriptedDriver first = bench.NextReadyDriver();
        ScriptedClient client = bench.ConnectAndOpen(first);
        client.Send(ClientMessage.SetFilters, Wanted, request: 5);
        first.Expect(ControlMessage.SetFilters).Dispose();

        first.Kill();
        ScriptedDriver second = bench.NextReadyDriver();

        AssertAsked(second, Wanted);
        using ChannelMessage done = client.Expect(ClientMessage.Done);
        Assert.Equal(5u, done.Header.Request);
    }

    [Fact]
    public void Filters_asked_for_between_two_drivers_are_set_by_the_second()
    {
        using Bench bench = new();
        ScriptedDriver first = bench.NextReadyDriver();
        ScriptedClient client = bench.ConnectAndOpen(first);
        first.Kill();
        ScriptedDriver second = bench.NextDriver();
        client.Send(ClientMessage.SetFilters, Wanted);
        bench.Settle();
        Assert.False(client.HasMessage);

        second.BeReady();

        AssertAsked(second, Wanted);
        client.Expect(ClientMessage.Done).Dispose();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void The_next_client_does_not_inherit_them(bool dies)
    {
        using Bench bench = new();
        ScriptedDriver first = bench.NextReadyDriver();
        ScriptedClient client = bench.ConnectAndOpen(first);
        client.Send(ClientMessage.SetFilters, Wanted);
        first.Obey(ControlMessage.SetFilters).Dispose();
        client.Expect(ClientMessage.Done).Dispose();

        ScriptedDriver serving = dies ? first : BreakRings(bench, first, client);
        if (dies) client.Dispose();
        else serving.SayText(ControlMessage.ClientFault, "nonsense on its rings");

        AssertAsked(serving, default);
        if (dies) serving.Obey(ControlMessage.Detach).Dispose();
        bench.Until(() => bench.Backend.Mapped.Count == 1, "the memory is freed");
        bench.ConnectAndOpen(serving);
        serving.Kill();
        ScriptedDriver next = bench.NextReadyDriver();
        AssertStartedWith(next, default);
        next.Obey(ControlMessage.Attach).Dispose();
    }

    /// <summary>The first time both start anew, with the filters as they were.</summary>
    private static ScriptedDriver BreakRings(Bench bench, ScriptedDriver driver, ScriptedClient client)
    {
        driver.SayText(ControlMessage.ClientFault, "nonsense on its rings");
        ScriptedDriver next = bench.NextReadyDriver();
        AssertStartedWith(next, Wanted);
        next.Obey(ControlMessage.Attach).Dispose();
        client.AwaitReopened();
        return next;
    }

    private static void AssertAsked(ScriptedDriver driver, in NetworkFilters filters)
    {
        using ChannelMessage asked = driver.Obey(ControlMessage.SetFilters);
        AssertSame(filters, asked.Get<NetworkFilters>());
    }

    private static void AssertStartedWith(ScriptedDriver driver, in NetworkFilters filters) => AssertSame(filters, driver.StartedWith.Filters);

    private static void AssertSame(in NetworkFilters filters, in NetworkFilters got)
        => Assert.True(MemoryMarshal.AsBytes(new ReadOnlySpan<NetworkFilters>(in filters))
            .SequenceEqual(MemoryMarshal.AsBytes(new ReadOnlySpan<NetworkFilters>(in got))), $"{got.Flags}, {got.MaxFrame} bytes");
}
