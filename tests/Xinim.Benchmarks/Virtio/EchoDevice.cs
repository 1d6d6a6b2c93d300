using Xinim.Drivers.Virtio.Transports;
using Xinim.Vfio.Dma;

namespace Xinim.Benchmarks.Virtio;

/// <summary>
/// The cheapest device there is: uses every buffer that it finds, in order, an entry each, looks at none and checks nothing. What a benchmark
/// of a driver's side subtracts.
/// </summary>
internal sealed unsafe class EchoDevice
{
    private const ulong Next = 1ul << 48;
    private const ulong Marks = 0x8080ul << 48;

    private readonly byte* _descriptors;
    private readonly byte* _driver;
    private readonly byte* _device;
    private readonly uint _size;
    private readonly bool _packed;
    private uint _position;
    private ulong _available = 0x0080ul << 48;

    public EchoDevice(DmaRegion work, VirtQueueMemory where, bool packed)
    {
        byte* At(Iova part) => (byte*)work.Memory!.Address + (part.Value - work.Iova.Value);
        _descriptors = At(where.Descriptors);
        _driver = At(where.Driver);
        _device = At(where.Device);
        (_size, _packed) = (where.Size, packed);
        // As a device that polls: no notifications.
        if (packed) *(uint*)_device = 1 << 16;
        else *(ushort*)_device = 1;
    }

    /// <returns>Buffers used.</returns>
    public uint Run() => _packed ? RunPacked() : RunSplit();

    private uint RunSplit()
    {
        uint mask = _size - 1;
        ushort* ring = (ushort*)(_driver + 4);
        ulong* used = (ulong*)(_device + 4);
        uint count = (ushort)(Volatile.Read(ref *(ushort*)(_driver + 2)) - _position);
        for (uint i = 0; i < count; i++, _position++) used[_position & mask] = ring[_position & mask];
        Volatile.Write(ref *(ushort*)(_device + 2), (ushort)_position);
        return count;
    }

    private uint RunPacked()
    {
        ulong* words = (ulong*)_descriptors;
        uint count = 0;
        while (true)
        {
            uint slot = _position;
            ulong word = Volatile.Read(ref words[(2 * slot) + 1]);
            if ((word & Marks) != _available) return count;
            ulong used = (_available & (0x80ul << 48)) != 0 ? Marks : 0;
            while ((word & Next) != 0)
            {
                Step();
                word = words[(2 * _position) + 1];
            }

            Step();
            Volatile.Write(ref words[(2 * slot) + 1], (word & (0xfffful << 32)) | used);
            count++;
        }
    }

    private void Step()
    {
        if (++_position != _size) return;
        _position = 0;
        _available ^= Marks;
    }
}
