using System.Diagnostics;
using System.Text.Json;
using Xinim.Ipc.Protocols;
using Xinim.Lab.Tests.Vfio;
using Xinim.Net.Ports;
using Xunit;

namespace Xinim.Lab.Tests.Drivers;

/// <summary>Every NIC of the lab on real VFIO, each through its own driver process, on QEMU's user network.</summary>
[Collection(nameof(VfioLab))]
[Trait("needs", "guest")]
public sealed class NicLabTests(NicDaemon nics) : IClassFixture<NicDaemon>
{
    public static TheoryData<string> Nics => [.. Enumerable.Range(0, NicDaemon.Addresses.Length).Select(number => $"net{number}")];

    [Theory]
    [MemberData(nameof(Nics))]
    public void The_gateway_answers_and_wakes_a_client_that_sleeps(string name)
    {
        LabDevice.RequireLab();
        using NetworkPort port = nics.Daemon.Open(name);

        // A PHY that its predecessor left in loopback is reset, and negotiates anew.
        Until(port, () => port.Link.Up == 1, "the link comes up");
        Assert.Equal(port.Info.Mac.ToString(), AskGateway(port));

        NetworkStatistics counters = port.GetStatistics();
        Assert.InRange(counters.RxFrames, 1ul, ulong.MaxValue);
    }

    [Theory]
    [MemberData(nameof(Nics))]
    public void Thousands_of_transmits_complete(string name)
    {
        LabDevice.RequireLab();
        using NetworkPort port = nics.Daemon.Open(name);

        SendMany(port, 4096, at: -1, () => { });

        Assert.Equal((4096ul, 0ul), (port.SentFrames, port.RejectedFrames));
    }

    [Theory]
    [MemberData(nameof(Nics))]
    public void A_driver_killed_under_traffic_is_replaced_and_nothing_is_missing(string name)
    {
        LabDevice.RequireLab();
        using NetworkPort port = nics.Daemon.Open(name);
        uint generation = port.Generation;

        SendMany(port, 2048, at: 1024, () => nics.Daemon.KillDriver(name));

        Until(port, () => port.Recoveries > 0, "the next driver serves");
        Assert.Equal(2048ul, port.SentFrames);
        Assert.True(port.Generation > generation);
        Assert.Equal(port.Info.Mac.ToString(), AskGateway(port));
    }

    [Theory]
    [MemberData(nameof(Nics))]
    public void The_device_may_only_read_what_is_sent(string name)
    {
        LabDevice.RequireLab();
        using NetworkPort port = nics.Daemon.Open(name);

        JsonElement status = nics.Daemon.Status(name);

        Assert.True(status.GetProperty("iommu").GetBoolean());
        Assert.Equal(
            ["work ReadWrite", "transmit pool Read", "receive pool ReadWrite"],
            status.GetProperty("regions").EnumerateArray().Select(region => $"{region.GetProperty("name")} {region.GetProperty("access")}"));
        Assert.InRange(status.GetProperty("user").GetInt32(), 64_100, 64_199);
        string maps = File.ReadAllText($"/proc/{status.GetProperty("pid")}/maps");
        Assert.Contains("xinim-net-rings", maps, StringComparison.Ordinal);
        Assert.DoesNotContain("xinim-net-tx", maps, StringComparison.Ordinal);
        Assert.DoesNotContain("xinim-net-rx", maps, StringComparison.Ordinal);
    }

    /// <summary>Asks by ARP (RFC 826) who 10.0.2.2 is; sleeps until the answer wakes it.</summary>
    /// <returns>The address that the gateway answered to.</returns>
    private static string AskGateway(NetworkPort port)
    {
        byte[] request = new byte[60];
        request.AsSpan(0, 6).Fill(0xff);
        WriteMac(port, request.AsSpan(6));
        new byte[] { 8, 6, 0, 1, 8, 0, 6, 4, 0, 1 }.CopyTo(request, 12);
        WriteMac(port, request.AsSpan(22));
        new byte[] { 10, 0, 2, 15 }.CopyTo(request, 28);
        new byte[] { 10, 0, 2, 2 }.CopyTo(request, 38);
        string? answered = null;
        Until(
            port,
            () =>
            {
                if ((answered ??= FindReply(port)) is not null) return true;
                // Asked again whenever something woke this client: an answer may come before the device has its first buffer.
                Send(port, request);
                port.Flush();
                return false;
            },
            "the gateway answers");
        return answered!;
    }

    private static void WriteMac(NetworkPort port, Span<byte> to)
    {
        MacAddress mac = port.Info.Mac;
        ((ReadOnlySpan<byte>)mac).CopyTo(to);
    }

    private static string? FindReply(NetworkPort port)
    {
        Span<ReceivedBuffer> pieces = stackalloc ReceivedBuffer[64];
        string? answered = null;
        foreach (ReceivedBuffer piece in pieces[..(int)port.Receive(pieces)])
        {
            ReadOnlySpan<byte> frame = port.Data(piece);
            bool reply = frame.Length >= 42 && frame[12..14].SequenceEqual<byte>([8, 6]) && frame[21] == 2 && frame[28..32].SequenceEqual<byte>([10, 0, 2, 2]);
            if (reply) answered = MacAddress.From(frame).ToString();
            port.Recycle(piece.Slot);
        }

        port.Flush();
        return answered;
    }

    private static void SendMany(NetworkPort port, uint count, int at, Action there)
    {
        byte[] frame = new byte[60];
        frame[0] = 2;
        WriteMac(port, frame.AsSpan(6));
        (frame[12], frame[13]) = (0x88, 0xb5);
        for (int number = 0; number < count; number++)
        {
            if (number == at) there();
            Send(port, frame);
            if (number % 32 == 31) port.Flush();
        }

        port.Flush();
        Until(port, () => port.TxIdle, "every buffer has come back");
    }

    private static void Send(NetworkPort port, ReadOnlySpan<byte> frame)
    {
        uint slot = 0;
        if (!port.TryRent(out slot)) Until(port, () => port.TryRent(out slot), "a buffer is free");
        frame.CopyTo(port.TxMemory(slot));
        port.Send(slot, (uint)frame.Length);
    }

    private static void Until(NetworkPort port, Func<bool> condition, string what)
    {
        long start = Stopwatch.GetTimestamp();
        while (!condition())
        {
            if (Stopwatch.GetElapsedTime(start) >= LabProgram.Limit) Assert.Fail($"waited in vain until {what}; {Describe(port.GetStatistics())}, link {port.Link}");
            port.Wait(TimeSpan.FromSeconds(1));
            port.Collect();
        }
    }

    private static string Describe(in NetworkStatistics counters) => $"{counters.TxFrames} sent, {counters.RxFrames} received, {counters.RxMissed} missed, "
        + $"{counters.RxDropped} dropped, {counters.Interrupts} interrupts, {counters.Doorbells} doorbells";
}
