namespace Xinim.Serial.Ports;

/// <summary>The part of a stream that is sent and not acknowledged, by its positions in the stream.</summary>
internal sealed class ByteWindow(uint capacity)
{
    private readonly byte[] _bytes = new byte[capacity];

    /// <summary>Position of the first byte that is kept.</summary>
    public ulong Start { get; private set; }

    /// <summary>Position behind the last one.</summary>
    public ulong End { get; private set; }

    public int Room => (int)(capacity - (End - Start));

    /// <summary>Appends as much as there is room for.</summary>
    /// <returns>Bytes.</returns>
    public int Add(ReadOnlySpan<byte> bytes)
    {
        int count = Math.Min(bytes.Length, Room);
        for (int i = 0; i < count; i++) _bytes[(End + (ulong)i) % capacity] = bytes[i];
        End += (ulong)count;
        return count;
    }

    /// <summary>Copies from a position on as much as there is, and fits.</summary>
    /// <returns>Bytes.</returns>
    public int Copy(ulong from, Span<byte> into)
    {
        int count = (int)Math.Min((ulong)into.Length, End - from);
        for (int i = 0; i < count; i++) into[i] = _bytes[(from + (ulong)i) % capacity];
        return count;
    }

    /// <summary>Forgets what stands before a position.</summary>
    public void Forget(ulong until) => Start = until;
}
