using System.Runtime.CompilerServices;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Rings;
using Xunit;

namespace Xinim.Ipc.Tests.Rings;

/// <summary>
/// A ring between two strips of canaries. Whatever a test writes into the ring's header, the strips stay as they are and no canary is ever
/// read as an element.
/// </summary>
internal sealed class RingFixture<T> : IDisposable
    where T : unmanaged
{
    public const uint Generation = 5;
    private const byte Canary = 0xee;
    private const long Strip = 128;
    private readonly long _end;

    /// <param name="capacity">Elements.</param>
    /// <param name="firstIndex">Where both free-running indices start.</param>
    /// <param name="atEnd">Put the ring at the very end of its region, so that a larger one would leave it; no strip is behind it then.</param>
    public RingFixture(uint capacity, uint firstIndex = 0, bool atEnd = false)
    {
        long bytes = MessageRing.SizeOf<T>(capacity);
        Region = SharedRegion.Create("ring-test", Strip + bytes + Strip, PageChoice.Ordinary);
        Offset = atEnd ? Region.Size - bytes : Strip;
        _end = Offset + bytes;
        Region.Slice(0, (int)Region.Size).Fill(Canary);
        Region.Slice(Offset, (int)bytes).Clear();
        MessageRing.Format<T>(Region, Offset, capacity, Generation);
        Head = Tail = firstIndex;
    }

    public SharedRegion Region { get; }

    public long Offset { get; }

    public ref uint Magic => ref Region.At<uint>(Offset);

    public ref uint Version => ref Region.At<uint>(Offset + 4);

    public ref uint ElementSize => ref Region.At<uint>(Offset + 8);

    public ref uint Capacity => ref Region.At<uint>(Offset + 12);

    public ref uint GenerationWord => ref Region.At<uint>(Offset + 16);

    public ref uint Tail => ref Region.At<uint>(Offset + 128);

    public ref uint Head => ref Region.At<uint>(Offset + 256);

    public RingProducer<T> Producer(uint generation = Generation) => new(Region, Offset, generation);

    public RingConsumer<T> Consumer(uint generation = Generation) => new(Region, Offset, generation);

    public static bool IsCanary(T element) => Unsafe.As<T, byte>(ref element) == Canary;

    public void AssertCanaries()
    {
        Assert.True(Region.Slice(0, (int)Offset).IndexOfAnyExcept(Canary) < 0, "something was written in front of the ring");
        Assert.True(Region.Slice(_end, (int)(Region.Size - _end)).IndexOfAnyExcept(Canary) < 0, "something was written behind the ring");
    }

    public void Dispose() => Region.Dispose();
}
