using CsCheck;
using Xinim.Ipc.Protocols;
using Xinim.Net.Ip;
using Xinim.TestKit.Net;

namespace Xinim.Net.Tests.Ip;

public sealed class DhcpTests
{
    private static readonly MacAddress Mac = MacAddress.From([2, 0, 0, 0, 0, 1]);
    private static readonly Ipv4Address Server = new(0x0a000202);
    private static readonly Ipv4Address Given = new(0x0a00020f);

    private static DhcpMessage Answer(DhcpMessageType type) => new()
    {
        Type = type, Transaction = 77, Client = Mac, Offered = Given, Server = Server, Mask = new Ipv4Address(0xffffff00), Router = Server,
    };

    [Fact]
    public void Discovers_requests_and_has_a_lease()
    {
        DhcpClient client = new(Mac, 77);
        Assert.Equal(DhcpMessageType.Discover, client.Next.Type);
        Assert.True(client.Receive(Answer(DhcpMessageType.Offer)));
        Assert.Equal((DhcpMessageType.Request, (Ipv4Address?)Given, (Ipv4Address?)Server), (client.Next.Type, client.Next.Requested, client.Next.Server));
        Assert.True(client.Receive(Answer(DhcpMessageType.Ack)));
        Assert.Equal(new Ipv4Configuration(Given, 24, Server), client.Lease);
    }

    [Fact]
    public void Starts_again_when_the_server_changes_its_mind()
    {
        DhcpClient client = new(Mac, 77);
        client.Receive(Answer(DhcpMessageType.Offer));
        Assert.True(client.Receive(Answer(DhcpMessageType.Nak)));
        Assert.Equal(DhcpMessageType.Discover, client.Next.Type);
    }

    [Fact]
    public void Ignores_what_is_for_others_or_out_of_turn()
    {
        DhcpClient client = new(Mac, 77);
        Assert.False(client.Receive(Answer(DhcpMessageType.Ack)));
        Assert.False(client.Receive(Answer(DhcpMessageType.Nak)));
        Assert.False(client.Receive(Answer(DhcpMessageType.Offer) with { Transaction = 78 }));
        Assert.False(client.Receive(Answer(DhcpMessageType.Offer) with { Client = default }));
        Assert.False(client.Receive(Answer(DhcpMessageType.Offer) with { Server = null }));
        Assert.False(client.Receive(Answer(DhcpMessageType.Offer) with { Offered = Ipv4Address.Any }));
        Assert.True(client.Receive(Answer(DhcpMessageType.Offer)));
        Assert.False(client.Receive(Answer(DhcpMessageType.Offer)));
        Assert.False(client.Receive(Answer(DhcpMessageType.Ack) with { Offered = Server }));
    }

    [Fact]
    public void A_request_says_what_a_server_wants_to_know()
    {
        byte[] bytes = new byte[DhcpMessage.MaxBytes];
        DhcpMessage request = new() { Type = DhcpMessageType.Request, Transaction = 0x01020304, Client = Mac, Requested = Given, Server = Server };
        Assert.Equal(DhcpMessage.MaxBytes, request.Write(bytes));
        Assert.Equal([1, 1, 6, 0, 1, 2, 3, 4], bytes[..8]);
        Assert.Equal([0x63, 0x82, 0x53, 0x63, 53, 1, 3, 50, 4, 10, 0, 2, 15, 54, 4, 10, 0, 2, 2, 55, 3, 1, 3, 51, 255], bytes[236..261]);
    }

    [Fact]
    public void Reads_a_servers_message()
    {
        DhcpMessage read = DhcpMessage.TryParse(DhcpServer.Message(2, 77, [2, 0, 0, 0, 0, 1]))!;
        Assert.Equal((DhcpMessageType.Offer, 77u, DhcpServer.Offered), (read.Type, read.Transaction, read.Offered.ToString()));
        Assert.Equal(("255.255.255.0", "10.0.2.2", "10.0.2.2", 86400u), (read.Mask.ToString(), read.Router.ToString(), read.Server.ToString(), read.LeaseSeconds));
    }

    [Fact]
    public void Options_cut_short_are_refused()
    {
        byte[] bytes = DhcpServer.Message(2, 77, [2, 0, 0, 0, 0, 1]);
        for (int length = 0; length < bytes.Length - 1; length++)
        {
            DhcpMessage? message = DhcpMessage.TryParse(bytes.AsSpan(0, length));
            Assert.True(message is null || message.Type == DhcpMessageType.Offer);
        }
    }

    [Fact]
    public void Garbage_in_the_options_is_refused_and_nothing_worse() => Gen.Byte.Array[0, 60].Sample(options =>
    {
        byte[] bytes = [.. DhcpServer.Message(2, 77, [2, 0, 0, 0, 0, 1])[..240], .. options];
        _ = DhcpMessage.TryParse(bytes);
    });
}
