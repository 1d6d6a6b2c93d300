using System.Buffers.Binary;
using Microsoft.Win32.SafeHandles;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Native;
using Xinim.Vfio.Dma;
using Xinim.Vfio.VhostUser;

namespace Xinim.TestKit.Virtio;

/// <summary>A split queue of a block device, one request at a time [VIRTIO 1.2 §2.7, §5.2.6]: no driver's code, so that the transport alone is tried.</summary>
public sealed class RawBlockQueue
{
    private const int Size = 16, Available = 1024, Used = 2048, Header = 3072, Status = 3100;
    private readonly SharedRegion _ring;
    private readonly Iova _at;
    private readonly SafeFileHandle _kick;
    private ushort _next;

    /// <param name="ring">At least 4 KiB, mapped at <paramref name="at"/>; cleared here.</param>
    public RawBlockQueue(VhostUserDevice device, uint queue, SharedRegion ring, Iova at, int? vector)
    {
        _ring = ring;
        _at = at;
        ring.Slice(0, 4096).Clear();
        _kick = device.StartRing(queue, Size, 0, at, at + Available, at + Used, vector);
    }

    /// <summary>Makes a read available and kicks.</summary>
    public void Submit(ulong sector, Iova into, uint length)
    {
        Span<byte> memory = _ring.Slice(0, 4096);
        memory.Slice(Header, 16).Clear();
        BinaryPrimitives.WriteUInt64LittleEndian(memory[(Header + 8)..], sector);
        memory[Status] = 0xFF;
        Describe(memory, 0, _at + Header, 16, flags: 1, next: 1);
        Describe(memory, 1, into, length, flags: 3, next: 2);
        Describe(memory, 2, _at + Status, 1, flags: 2, next: 0);
        BinaryPrimitives.WriteUInt16LittleEndian(memory[(Available + 4 + (2 * (_next % Size)))..], 0);
        _next++;
        Volatile.Write(ref _ring.At<ushort>(Available + 2), _next);
        Descriptor.Signal(_kick);
    }

    /// <summary>True when the device has used what was made available last.</summary>
    public bool IsDone => Volatile.Read(ref _ring.At<ushort>(Used + 2)) == _next;

    /// <summary>The last request's outcome: 0 is success.</summary>
    public byte Outcome => _ring.Slice(Status, 1)[0];

    private static void Describe(Span<byte> memory, int index, Iova at, uint length, ushort flags, ushort next)
    {
        Span<byte> descriptor = memory.Slice(16 * index, 16);
        BinaryPrimitives.WriteUInt64LittleEndian(descriptor, at.Value);
        BinaryPrimitives.WriteUInt32LittleEndian(descriptor[8..], length);
        BinaryPrimitives.WriteUInt16LittleEndian(descriptor[12..], flags);
        BinaryPrimitives.WriteUInt16LittleEndian(descriptor[14..], next);
    }
}
