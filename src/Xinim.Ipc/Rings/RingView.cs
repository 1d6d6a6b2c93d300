using System.Runtime.CompilerServices;

namespace Xinim.Ipc.Rings;

/// <summary>
/// A ring's slots from its own index on, for a loop over a batch: what the ring's end keeps in fields is kept in registers here.
/// Indices are masked and cannot leave the ring. Valid until the end's next Publish or Release. Of a consumer's slot each field is read
/// once into a local: the peer can still write to it.
/// </summary>
public readonly unsafe ref struct RingView<T>
    where T : unmanaged
{
    private readonly T* _elements;
    private readonly uint _first;
    private readonly uint _mask;

    internal RingView(T* elements, uint first, uint mask)
    {
        _elements = elements;
        _first = first;
        _mask = mask;
    }

    /// <summary>The i-th slot.</summary>
    public ref T this[uint index]
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => ref _elements[(_first + index) & _mask];
    }
}
