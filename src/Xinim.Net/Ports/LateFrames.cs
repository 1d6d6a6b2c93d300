using Xinim.Ipc.Protocols;

namespace Xinim.Net.Ports;

/// <summary>
/// Whole frames that a driver delivered before it died, until their receiver wants them: its successor does not wait for that. Empty
/// but for moments.
/// </summary>
internal sealed class LateFrames
{
    private readonly Queue<ReceivedBuffer> _pieces = [];

    public bool IsEmpty => _pieces.Count == 0;

    public void Add(ReadOnlySpan<ReceivedBuffer> frames)
    {
        foreach (ReceivedBuffer piece in frames) _pieces.Enqueue(piece);
    }

    /// <summary>Takes as many whole frames as fit.</summary>
    /// <exception cref="NetworkPortException">Not even one fits.</exception>
    public uint Take(Span<ReceivedBuffer> into)
    {
        int whole = 0;
        while (_pieces.Count != 0 && FirstFrame() is int pieces && whole + pieces <= into.Length)
        {
            for (int i = 0; i < pieces; i++) into[whole++] = _pieces.Dequeue();
        }

        return whole != 0 ? (uint)whole : throw new NetworkPortException($"there is a frame of more than {into.Length} pieces");
    }

    private int FirstFrame()
    {
        int count = 0;
        foreach (ReceivedBuffer piece in _pieces)
        {
            count++;
            if ((piece.Flags & NetFlags.More) == 0) break;
        }

        return count;
    }
}
