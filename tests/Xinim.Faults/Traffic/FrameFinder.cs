using System.Buffers.Binary;

namespace Xinim.Faults.Traffic;

/// <summary>Frames in a stream of bytes: a mark, a length, the frame. Where bytes are wrong or missing it goes on at the next mark.</summary>
internal sealed class FrameFinder
{
    public const int HeadBytes = 6;
    private const uint Mark = 0x4d46_5853;
    private readonly byte[] _bytes = new byte[1 << 14];
    private int _count;

    /// <summary>Puts the head before a frame.</summary>
    public static void WriteHead(Span<byte> head, int length)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(head, Mark);
        BinaryPrimitives.WriteUInt16LittleEndian(head[4..], (ushort)length);
    }

    /// <summary>Takes bytes as they come.</summary>
    /// <param name="check">Gets each frame; false where it is none, so that what seemed to be its length means nothing.</param>
    public void Add(ReadOnlySpan<byte> bytes, Func<ReadOnlySpan<byte>, bool> check)
    {
        while (!bytes.IsEmpty)
        {
            int some = Math.Min(bytes.Length, _bytes.Length - _count);
            bytes[..some].CopyTo(_bytes.AsSpan(_count));
            _count += some;
            bytes = bytes[some..];
            Find(check);
        }
    }

    private void Find(Func<ReadOnlySpan<byte>, bool> check)
    {
        int at = 0;
        while (_count - at >= HeadBytes)
        {
            Span<byte> head = _bytes.AsSpan(at);
            int length = BinaryPrimitives.ReadUInt16LittleEndian(head[4..]);
            bool possible = BinaryPrimitives.ReadUInt32LittleEndian(head) == Mark && length is >= Net.Traffic.TestFrame.MinBytes and <= Net.Traffic.TestFrame.MaxBytes;
            if (possible && _count - at < HeadBytes + length) break;
            at += possible && check(_bytes.AsSpan(at + HeadBytes, length)) ? HeadBytes + length : 1;
        }

        _bytes.AsSpan(at, _count - at).CopyTo(_bytes);
        _count -= at;
    }
}
