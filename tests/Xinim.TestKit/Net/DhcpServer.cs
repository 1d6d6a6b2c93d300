namespace Xinim.TestKit.Net;

/// <summary>The server's messages of a DHCP exchange, byte by byte: written apart from the client that they are to test.</summary>
public static class DhcpServer
{
    public const string Offered = "10.0.2.15";

    /// <param name="type">2 offer, 5 acknowledgement, 6 refusal (RFC 2132, section 9.6).</param>
    public static byte[] Message(byte type, uint transaction, ReadOnlySpan<byte> client)
    {
        byte[] message = new byte[240 + 32];
        message[0] = 2;
        message[1] = 1;
        message[2] = 6;
        for (int i = 0; i < 4; i++) message[4 + i] = (byte)(transaction >> (24 - (8 * i)));
        ((ReadOnlySpan<byte>)[10, 0, 2, 15]).CopyTo(message.AsSpan(16));
        client.CopyTo(message.AsSpan(28));
        ((ReadOnlySpan<byte>)
        [
            0x63, 0x82, 0x53, 0x63, 53, 1, type, 1, 4, 255, 255, 255, 0, 3, 4, 10, 0, 2, 2, 54, 4, 10, 0, 2, 2, 51, 4, 0, 1, 0x51, 0x80, 255,
        ]).CopyTo(message.AsSpan(236));
        return message;
    }
}
