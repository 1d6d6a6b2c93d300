using System.Buffers.Binary;

namespace Xinim.Vfio.Tests.Remote;

/// <summary>Messages of the protocol as bytes, written down independently of the code under test.</summary>
internal static class WireBytes
{
    public const int Ret = 1;

    /// <summary>{int32 command, padding, uint64 size} and the payload.</summary>
    public static byte[] Message(int command, ulong size, params ReadOnlySpan<byte> payload)
    {
        byte[] bytes = new byte[16 + payload.Length];
        BinaryPrimitives.WriteInt32LittleEndian(bytes, command);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(8), size);
        payload.CopyTo(bytes.AsSpan(16));
        return bytes;
    }

    public static byte[] Reply(ulong value)
    {
        byte[] payload = new byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(payload, value);
        return Message(Ret, 8, payload);
    }

    public static byte[] ConfigRead(uint offset, int length)
    {
        byte[] payload = new byte[12];
        BinaryPrimitives.WriteUInt32LittleEndian(payload, offset);
        BinaryPrimitives.WriteInt32LittleEndian(payload.AsSpan(8), length);
        return Message(3, 12, payload);
    }
}
