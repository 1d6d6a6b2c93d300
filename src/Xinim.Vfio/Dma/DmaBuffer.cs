using System.Runtime.CompilerServices;
using Xinim.Ipc.Memory;

namespace Xinim.Vfio.Dma;

/// <summary>A typed table in DMA memory: a descriptor ring, a command list. The index is masked and cannot leave the table.</summary>
public readonly unsafe struct DmaBuffer<T>
    where T : unmanaged
{
    private readonly T* _first;
    private readonly uint _mask;
    private readonly SharedRegion _memory;

    internal DmaBuffer(SharedRegion memory, long offset, Iova iova, uint count)
    {
        _memory = memory;
        _first = (T*)Unsafe.AsPointer(ref memory.Slice(offset, checked((int)(count * sizeof(T))))[0]);
        _mask = count - 1;
        Iova = iova;
    }

    /// <summary>Where the device sees element 0.</summary>
    public Iova Iova { get; }

    /// <summary>Elements.</summary>
    public uint Count => _mask + 1;

    /// <summary>Bytes.</summary>
    public uint Bytes => Count * (uint)sizeof(T);

    /// <summary>
    /// Element <paramref name="index"/> modulo <see cref="Count"/>, in place: the device may write to it at any time. Read a word that it
    /// writes once, with <see cref="Volatile"/>, and check the copy.
    /// </summary>
    public ref T this[uint index]
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => ref _first[index & _mask];
    }

    /// <summary>Sets every byte; rings are filled before the device is enabled, so that stale contents are never believed.</summary>
    public void Fill(byte value)
    {
        ObjectDisposedException.ThrowIf(_memory.Address == 0, _memory);
        new Span<byte>(_first, checked((int)Bytes)).Fill(value);
    }
}
