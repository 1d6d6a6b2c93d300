namespace Xinim.Drivers.Virtio.Queues;

/// <summary>What holds for the parts of a buffer in either layout.</summary>
internal static class VirtParts
{
    /// <summary>Checks a buffer of several parts.</summary>
    /// <param name="readable">Parts that the device reads, the first ones [V §2.7.4.2, §2.8.17].</param>
    /// <param name="size">Entries of the queue: no buffer has more parts [V §2.7.5.3.1, §2.8.17].</param>
    /// <returns>Bytes that the device may write.</returns>
    public static uint Check(ReadOnlySpan<VirtSegment> parts, int readable, uint size)
    {
        if (parts.IsEmpty || (uint)parts.Length > size) throw new ArgumentException($"a buffer has 1 to {size} parts, not {parts.Length}", nameof(parts));
        if ((uint)readable > (uint)parts.Length) throw new ArgumentOutOfRangeException(nameof(readable), readable, $"of {parts.Length} parts");
        ulong read = 0;
        ulong written = 0;
        for (int i = 0; i < parts.Length; i++)
        {
            if (i < readable) read += parts[i].Length;
            else written += parts[i].Length;
        }

        // [V §2.7.5.2] allows 2^32; what the device wrote is said in 32 bits.
        if (read + written > uint.MaxValue) throw new ArgumentException($"a buffer of {read + written} bytes; less than 4 GiB are allowed", nameof(parts));
        return (uint)written;
    }
}
