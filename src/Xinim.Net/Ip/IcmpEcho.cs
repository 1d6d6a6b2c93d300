using System.Buffers.Binary;

namespace Xinim.Net.Ip;

/// <summary>An ICMP echo request or reply (RFC 792), as a window on received bytes.</summary>
public readonly ref struct IcmpEcho
{
    public const int HeaderBytes = 8;
    private const byte Request = 8;
    private const byte Reply = 0;

    private IcmpEcho(ReadOnlySpan<byte> bytes)
    {
        IsReply = bytes[0] == Reply;
        Identifier = BinaryPrimitives.ReadUInt16BigEndian(bytes[4..]);
        Sequence = BinaryPrimitives.ReadUInt16BigEndian(bytes[6..]);
        Data = bytes[HeaderBytes..];
    }

    public bool IsReply { get; }

    public ushort Identifier { get; }

    public ushort Sequence { get; }

    public ReadOnlySpan<byte> Data { get; }

    /// <returns>False for other messages, and where the checksum is wrong.</returns>
    public static bool TryParse(ReadOnlySpan<byte> bytes, out IcmpEcho echo)
    {
        echo = default;
        if (bytes.Length < HeaderBytes || bytes[0] is not (Request or Reply) || bytes[1] != 0) return false;
        if (InternetChecksum.Compute(bytes) != 0) return false;
        echo = new IcmpEcho(bytes);
        return true;
    }

    /// <summary>Writes a message around data that stands behind the header already.</summary>
    /// <param name="message">Header and data, the whole message.</param>
    public static void Write(Span<byte> message, bool isReply, ushort identifier, ushort sequence)
    {
        message[..HeaderBytes].Clear();
        message[0] = isReply ? Reply : Request;
        BinaryPrimitives.WriteUInt16BigEndian(message[4..], identifier);
        BinaryPrimitives.WriteUInt16BigEndian(message[6..], sequence);
        BinaryPrimitives.WriteUInt16BigEndian(message[2..], InternetChecksum.Compute(message));
    }
}
