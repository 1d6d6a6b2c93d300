namespace Xinim.TestKit.E1000;

/// <summary>Checksum insertion as a NIC does it.</summary>
internal static class Checksums
{
    /// <summary>What a NIC does: sums from <paramref name="start"/> to <paramref name="end"/> (0 for the end of the frame) and stores the complement.</summary>
    public static void Insert(Span<byte> frame, int start, int field, int end)
    {
        int stop = end == 0 || end >= frame.Length ? frame.Length : end + 1;
        if (start >= stop || field + 2 > frame.Length) return;
        ushort sum = (ushort)~Packets.Sum(frame[start..stop]);
        if (sum == 0 && field - start == 6) sum = 0xffff; // UDP writes 0 as its other form (RFC 768)
        frame[field] = (byte)(sum >> 8);
        frame[field + 1] = (byte)sum;
    }
}
