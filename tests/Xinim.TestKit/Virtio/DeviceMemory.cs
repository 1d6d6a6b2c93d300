using System.Runtime.InteropServices;
using Xinim.TestKit.Fakes;

namespace Xinim.TestKit.Virtio;

/// <summary>Little-endian words in memory, each in one access, as a device makes them. What cannot be reached is a fault of the IOMMU and reads as 0.</summary>
public sealed class DeviceMemory(FakeDma dma)
{
    public FakeDma Dma { get; } = dma;

    public ushort Read16(ulong at)
    {
        Span<byte> word = stackalloc byte[2];
        return Dma.Read(at, word) ? MemoryMarshal.Read<ushort>(word) : (ushort)0;
    }

    public uint Read32(ulong at)
    {
        Span<byte> word = stackalloc byte[4];
        return Dma.Read(at, word) ? MemoryMarshal.Read<uint>(word) : 0;
    }

    public ulong Read64(ulong at)
    {
        Span<byte> word = stackalloc byte[8];
        return Dma.Read(at, word) ? MemoryMarshal.Read<ulong>(word) : 0;
    }

    public void Write16(ulong at, ushort value) => Dma.Write(at, MemoryMarshal.AsBytes(new ReadOnlySpan<ushort>(in value)));

    public void Write32(ulong at, uint value) => Dma.Write(at, MemoryMarshal.AsBytes(new ReadOnlySpan<uint>(in value)));

    public void Write64(ulong at, ulong value) => Dma.Write(at, MemoryMarshal.AsBytes(new ReadOnlySpan<ulong>(in value)));
}
