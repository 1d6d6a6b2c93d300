using Xinim.TestKit.Fakes;

namespace Xinim.TestKit.Virtio;

/// <summary>A buffer as the device found it: its parts, and what stands in the ring for it.</summary>
public sealed class DeviceChain
{
    private readonly List<(ulong At, uint Length)> _readable = [];
    private readonly List<(ulong At, uint Length)> _writable = [];

    /// <summary>Head of the chain [V §2.7.8], or buffer id [V §2.8.13].</summary>
    public ushort Id { get; set; }

    /// <summary>Descriptors in the ring itself: how far a packed ring goes on.</summary>
    public int Slots { get; set; }

    public IReadOnlyList<(ulong At, uint Length)> Readable => _readable;

    public IReadOnlyList<(ulong At, uint Length)> Writable => _writable;

    public uint ReadableBytes => Sum(_readable);

    public uint WritableBytes => Sum(_writable);

    public void Clear()
    {
        _readable.Clear();
        _writable.Clear();
        Id = 0;
        Slots = 0;
    }

    /// <returns>False where a part that the device reads stands behind one that it writes [V §2.7.4.2].</returns>
    public bool Add(ulong at, uint length, bool writable)
    {
        (writable ? _writable : _readable).Add((at, length));
        return writable || _writable.Count == 0;
    }

    /// <summary>All that the driver has for the device.</summary>
    public byte[] Read(FakeDma dma)
    {
        byte[] bytes = new byte[ReadableBytes];
        int done = 0;
        foreach ((ulong at, uint length) in _readable)
        {
            if (!dma.Read(at, bytes.AsSpan(done, (int)length))) return [];
            done += (int)length;
        }

        return bytes;
    }

    /// <summary>Fills the writable parts from the first one on.</summary>
    /// <returns>Bytes that fitted.</returns>
    public uint Write(FakeDma dma, ReadOnlySpan<byte> bytes)
    {
        uint done = 0;
        foreach ((ulong at, uint length) in _writable)
        {
            int count = (int)Math.Min(length, (uint)bytes.Length - done);
            if (count == 0 || !dma.Write(at, bytes.Slice((int)done, count))) break;
            done += (uint)count;
        }

        return done;
    }

    private static uint Sum(List<(ulong At, uint Length)> parts)
    {
        uint sum = 0;
        foreach ((_, uint length) in parts) sum += length;
        return sum;
    }
}
