using System.Buffers.Binary;
using Xinim.Ipc.Protocols;

namespace Xinim.Net.Ip;

/// <summary>A DHCP message (RFC 2131) with the options that a client needs (RFC 2132).</summary>
public sealed record DhcpMessage
{
    public const ushort ClientPort = 68;
    public const ushort ServerPort = 67;

    /// <summary>What a client's message takes at the most.</summary>
    public const int MaxBytes = 300;

    // RFC 2131, section 2: fixed part, then the magic cookie, then options.
    private const int CookieAt = 236;
    private const int OptionsAt = 240;
    private const uint Cookie = 0x63825363;
    private const ushort BroadcastFlag = 0x8000;

    public required DhcpMessageType Type { get; init; }

    public required uint Transaction { get; init; }

    public required MacAddress Client { get; init; }

    /// <summary>The address that the server offers or gives.</summary>
    public Ipv4Address Offered { get; init; }

    public Ipv4Address? Mask { get; init; }

    public Ipv4Address? Router { get; init; }

    public Ipv4Address? Server { get; init; }

    /// <summary>The address that the client asks for.</summary>
    public Ipv4Address? Requested { get; init; }

    public uint? LeaseSeconds { get; init; }

    /// <summary>Reads a server's message.</summary>
    /// <returns>Null where it is none, or its options leave the message.</returns>
    public static DhcpMessage? TryParse(ReadOnlySpan<byte> bytes)
    {
        // op 2 = BOOTREPLY, htype 1 = Ethernet, hlen 6.
        if (bytes.Length < OptionsAt || bytes[0] != 2 || bytes[1] != 1 || bytes[2] != 6) return null;
        if (BinaryPrimitives.ReadUInt32BigEndian(bytes[CookieAt..]) != Cookie) return null;
        DhcpMessage message = new()
        {
            Type = 0,
            Transaction = BinaryPrimitives.ReadUInt32BigEndian(bytes[4..]),
            Client = MacAddress.From(bytes[28..]),
            Offered = AddressIn(bytes[16..]),
        };
        return ReadOptions(message, bytes[OptionsAt..]) is { Type: not 0 } whole ? whole : null;
    }

    /// <summary>Writes a client's message.</summary>
    /// <returns>Bytes written.</returns>
    public int Write(Span<byte> into)
    {
        Span<byte> message = into[..MaxBytes];
        message.Clear();
        message[0] = 1;
        message[1] = 1;
        message[2] = 6;
        BinaryPrimitives.WriteUInt32BigEndian(message[4..], Transaction);
        // The answer shall come as a broadcast: this station has no address yet that it could be sent to.
        BinaryPrimitives.WriteUInt16BigEndian(message[10..], BroadcastFlag);
        Client.CopyTo(message[28..]);
        BinaryPrimitives.WriteUInt32BigEndian(message[CookieAt..], Cookie);
        Span<byte> room = message[OptionsAt..];
        WriteOption(ref room, DhcpOption.MessageType, [(byte)Type]);
        if (Requested is { } requested) WriteAddress(ref room, DhcpOption.RequestedAddress, requested);
        if (Server is { } server) WriteAddress(ref room, DhcpOption.Server, server);
        WriteOption(ref room, DhcpOption.ParameterList, [(byte)DhcpOption.Mask, (byte)DhcpOption.Router, (byte)DhcpOption.LeaseTime]);
        room[0] = (byte)DhcpOption.End;
        return MaxBytes;
    }

    private static DhcpMessage? ReadOptions(DhcpMessage message, ReadOnlySpan<byte> options)
    {
        while (options.Length != 0 && options[0] != (byte)DhcpOption.End)
        {
            if (options[0] == (byte)DhcpOption.Pad)
            {
                options = options[1..];
                continue;
            }

            if (options.Length < 2 || options.Length < 2 + options[1]) return null;
            message = With(message, (DhcpOption)options[0], options.Slice(2, options[1]));
            options = options[(2 + options[1])..];
        }

        return message;
    }

    private static DhcpMessage With(DhcpMessage message, DhcpOption option, ReadOnlySpan<byte> value) => (option, value.Length) switch
    {
        (DhcpOption.MessageType, 1) => message with { Type = (DhcpMessageType)value[0] },
        (DhcpOption.Mask, 4) => message with { Mask = AddressIn(value) },
        (DhcpOption.Router, >= 4) => message with { Router = AddressIn(value) },
        (DhcpOption.Server, 4) => message with { Server = AddressIn(value) },
        (DhcpOption.LeaseTime, 4) => message with { LeaseSeconds = AddressIn(value).Value },
        _ => message,
    };

    private static Ipv4Address AddressIn(ReadOnlySpan<byte> bytes) => new(BinaryPrimitives.ReadUInt32BigEndian(bytes));

    private static void WriteAddress(ref Span<byte> room, DhcpOption option, Ipv4Address address)
    {
        Span<byte> bytes = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(bytes, address.Value);
        WriteOption(ref room, option, bytes);
    }

    private static void WriteOption(ref Span<byte> room, DhcpOption option, scoped ReadOnlySpan<byte> value)
    {
        room[0] = (byte)option;
        room[1] = (byte)value.Length;
        value.CopyTo(room[2..]);
        room = room[(2 + value.Length)..];
    }
}

/// <summary>RFC 2132, section 9.6.</summary>
public enum DhcpMessageType : byte
{
    Discover = 1,
    Offer = 2,
    Request = 3,
    Ack = 5,
    Nak = 6,
}

/// <summary>RFC 2132.</summary>
internal enum DhcpOption : byte
{
    Pad = 0,
    Mask = 1,
    Router = 3,
    RequestedAddress = 50,
    LeaseTime = 51,
    MessageType = 53,
    Server = 54,
    ParameterList = 55,
    End = 255,
}
