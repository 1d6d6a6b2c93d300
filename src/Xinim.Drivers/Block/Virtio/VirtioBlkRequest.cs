using System.Runtime.InteropServices;
using Xinim.Ipc.Protocols;

namespace Xinim.Drivers.Block.Virtio;

/// <summary>What the driver adds to a request, in its own memory: struct virtio_blk_req without the data, and the one segment of a discard [V §5.2.6].</summary>
[StructLayout(LayoutKind.Explicit, Size = Stride)]
internal struct VirtioBlkRequest
{
    /// <summary>Bytes from one to the next: a cache line, of which the device writes the last part.</summary>
    public const int Stride = 64;

    public const uint HeaderAt = 0, HeaderBytes = 16; // type, reserved, sector [V §5.2.6]
    public const uint RangeAt = 16, RangeBytes = 16; // struct virtio_blk_discard_write_zeroes [V §5.2.6]
    public const uint StatusAt = 32;

    public const byte Ok = 0, IoError = 1, Unsupported = 2; // VIRTIO_BLK_S_* [V §5.2.6]
    public const byte Unanswered = 0xff;

    private const uint In = 0, Out = 1, Flush = 4, GetId = 8, Discard = 11, WriteZeroes = 13; // VIRTIO_BLK_T_* [V §5.2.6]
    private const uint Unmap = 1; // of flags [V §5.2.6]

    [FieldOffset(0)] public uint Type; // [V §5.2.6]
    [FieldOffset(4)] private readonly uint _reserved; // [V §5.2.6]
    [FieldOffset(8)] public ulong Sector; // [V §5.2.6]
    [FieldOffset(16)] public ulong RangeSector; // of a range [V §5.2.6]
    [FieldOffset(24)] public uint RangeSectors; // num_sectors [V §5.2.6]
    [FieldOffset(28)] public uint RangeFlags; // [V §5.2.6]
    [FieldOffset(32)] public byte Status; // [V §5.2.6]

    /// <summary>The header for a request.</summary>
    /// <param name="sectorsPerBlock">Of 512 bytes.</param>
    public static VirtioBlkRequest For(in BlockCommand command, uint sectorsPerBlock)
    {
        VirtioBlkRequest request = new() { Status = Unanswered };
        ulong sector = command.Lba * sectorsPerBlock;
        switch (command.Operation)
        {
            case BlockOperation.Read: (request.Type, request.Sector) = (In, sector); break;
            case BlockOperation.Write: (request.Type, request.Sector) = (Out, sector); break;
            case BlockOperation.Flush: request.Type = Flush; break;
            case BlockOperation.GetId: request.Type = GetId; break;
            default:
                request.Type = command.Operation == BlockOperation.Discard ? Discard : WriteZeroes;
                request.RangeSector = sector;
                request.RangeSectors = command.Count * sectorsPerBlock;
                // Of a discard the flag is reserved [V §5.2.6.1].
                request.RangeFlags = (command.Flags & BlockFlags.MayUnmap) != 0 ? Unmap : 0;
                break;
        }

        return request;
    }

    /// <summary>True for requests whose one piece of data is the range.</summary>
    public readonly bool HasRange => Type is Discard or WriteZeroes;

    /// <summary>Asks for the serial number [V §5.2.6].</summary>
    public static VirtioBlkRequest ForId() => new() { Type = GetId, Status = Unanswered };
}
