using System.Buffers.Binary;
using Microsoft.Win32.SafeHandles;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Native;
using Xinim.Vfio.Dma;
using Xinim.Vfio.VhostUser;

namespace Xinim.TestKit.Virtio;

/// <summary>A split queue that sends [VIRTIO 1.2 §2.7, §5.1.6]: no driver's code, so that the transport alone is tried.</summary>
public sealed class RawNetQueue
{
    private const int Size = 64, Available = 1024, Used = 2048, Frames = 4096, FrameRoom = 128, HeaderBytes = 12;
    private readonly SharedRegion _memory;
    private readonly Iova _at;
    private readonly SafeFileHandle _kick;
    private ushort _next;

    /// <param name="memory">At least 16 KiB, mapped at <paramref name="at"/>; cleared here.</param>
    public RawNetQueue(VhostUserDevice device, uint queue, SharedRegion memory, Iova at, int? vector)
    {
        (_memory, _at) = (memory, at);
        memory.Slice(0, Frames + (Size * FrameRoom)).Clear();
        _kick = device.StartRing(queue, Size, 0, at, at + Available, at + Used, vector);
    }

    /// <summary>Frames that the device has used, since the start; 16 bits.</summary>
    public ushort UsedCount => Volatile.Read(ref _memory.At<ushort>(Used + 2));

    /// <summary>Makes frames of 60 bytes available and kicks.</summary>
    public void Send(int count)
    {
        for (int i = 0; i < count; i++)
        {
            int slot = _next % Size;
            Span<byte> descriptor = _memory.Slice(16 * slot, 16);
            BinaryPrimitives.WriteUInt64LittleEndian(descriptor, (_at + (ulong)(Frames + (slot * FrameRoom))).Value);
            BinaryPrimitives.WriteUInt32LittleEndian(descriptor[8..], HeaderBytes + 60);
            BinaryPrimitives.WriteUInt32LittleEndian(descriptor[12..], 0);
            BinaryPrimitives.WriteUInt16LittleEndian(_memory.Slice(Available + 4 + (2 * slot), 2), (ushort)slot);
            _next++;
        }

        Volatile.Write(ref _memory.At<ushort>(Available + 2), _next);
        Descriptor.Signal(_kick);
    }
}
