using System.Buffers.Binary;
using System.Numerics;
using Xinim.Drivers.Virtio;
using Xinim.Ipc.Protocols;
using Xinim.Vfio;

namespace Xinim.Drivers.Block.Virtio;

/// <summary>struct virtio_blk_config [V §5.2.4]. A field is read only where its feature was agreed on; what cannot be is a fault of the device.</summary>
internal sealed class VirtioBlkConfig(VirtioDevice device)
{
    /// <summary>What <see cref="BlockDeviceInfo.Blocks"/> and every request's sector count in, whatever the block size [V §5.2.4].</summary>
    public const uint SectorBytes = 512;

    // Offsets [V §5.2.4].
    private const int CapacityAt = 0, SizeMaxAt = 8, SegmentMaxAt = 12, BlockSizeAt = 20, TopologyAt = 24, WritebackAt = 32, QueuesAt = 34;
    private const int DiscardSectorsAt = 36, DiscardSegmentsAt = 40, DiscardAlignmentAt = 44, ZeroesSectorsAt = 48, ZeroesSegmentsAt = 52, ZeroesMayUnmapAt = 56;
    private const uint MaxBlockBytes = 1 << 16;

    /// <summary>Pieces of one request at the most: with header and status they fill an indirect table of 128.</summary>
    private const uint MostSegments = 126;

    private const uint MostSegmentBytes = 4 << 20;
    private const uint MostRequestBytes = 64 << 20;

    /// <summary>Queues that the device has [V §5.2.4].</summary>
    public uint ReadQueues()
    {
        if (!device.Has(VirtioBlkFeatures.MultiQueue)) return 1;
        uint queues = Read16(QueuesAt);
        return queues != 0 ? queues : throw Fault("num_queues is 0");
    }

    /// <summary>Everything but serial number and queues.</summary>
    public BlockDeviceInfo Read()
    {
        uint block = device.Has(VirtioBlkFeatures.BlockSize) ? Read32(BlockSizeAt) : SectorBytes;
        if (block is < SectorBytes or > MaxBlockBytes || !BitOperations.IsPow2(block)) throw Fault($"blk_size is {block}, no power of two from {SectorBytes} to {MaxBlockBytes}");
        uint sectors = block / SectorBytes;
        BlockDeviceInfo info = new()
        {
            Blocks = Read64(CapacityAt) / sectors,
            LogicalBlockBytes = block,
            PhysicalBlockBytes = block,
            MaxSegments = device.Has(VirtioBlkFeatures.SegmentMax) ? Math.Clamp(Read32(SegmentMaxAt), 1, MostSegments) : 1,
            MaxSegmentBytes = ReadSegmentBytes(),
            SegmentAlignment = 1,
            Features = BlockFeatures.GetId | ReadCache(),
        };
        if (info.MaxSegmentBytes < block) throw Fault($"size_max is {info.MaxSegmentBytes}, less than a block of {block}");
        if (info.Blocks > ulong.MaxValue / block) throw Fault($"a capacity of {info.Blocks} blocks of {block} bytes is more than bytes can be counted");
        info.MaxRequestBytes = (uint)Math.Min((ulong)info.MaxSegments * info.MaxSegmentBytes, MostRequestBytes) / block * block;
        if (device.Has(VirtioBlkFeatures.ReadOnly)) info.Features |= BlockFeatures.ReadOnly;
        if (device.Has(VirtioBlkFeatures.Topology)) ReadTopology(ref info);
        if (device.Has(VirtioBlkFeatures.Discard) && Read32(DiscardSegmentsAt) != 0) ReadDiscard(ref info, sectors);
        if (device.Has(VirtioBlkFeatures.WriteZeroes) && Read32(ZeroesSegmentsAt) != 0) ReadZeroes(ref info, sectors);
        return info;
    }

    /// <summary>Switches between write-back and write-through [V §5.2.5.2].</summary>
    public void WriteCache(bool on) => device.Transport.WriteConfig(WritebackAt, [on ? (byte)1 : (byte)0]);

    /// <summary>A device that flushes has a cache, unless it says that it is switched off; one that does not flush has none [V §5.2.6.2].</summary>
    private BlockFeatures ReadCache()
    {
        BlockFeatures features = device.Has(VirtioBlkFeatures.Flush) ? BlockFeatures.Flush : BlockFeatures.None;
        if (!device.Has(VirtioBlkFeatures.ConfigWriteCache)) return features == 0 ? features : features | BlockFeatures.WriteCache;
        return features | BlockFeatures.WriteCacheSwitch | (Read8(WritebackAt) != 0 ? BlockFeatures.WriteCache : 0);
    }

    /// <summary>qemu-storage-daemon 7.2 offers the feature and says 0, where it has no limit.</summary>
    private uint ReadSegmentBytes()
    {
        uint most = device.Has(VirtioBlkFeatures.SizeMax) ? Read32(SizeMaxAt) : 0;
        return most == 0 ? MostSegmentBytes : Math.Min(most, MostSegmentBytes);
    }

    private void ReadTopology(ref BlockDeviceInfo info)
    {
        byte exponent = Read8(TopologyAt);
        if (exponent > 16 || (ulong)info.LogicalBlockBytes << exponent > uint.MaxValue) throw Fault($"physical_block_exp is {exponent}, with blocks of {info.LogicalBlockBytes} bytes");
        info.PhysicalBlockBytes = info.LogicalBlockBytes << exponent;
        info.AlignmentOffset = Read8(TopologyAt + 1);
        info.MinimumBlocks = Read16(TopologyAt + 2);
        info.OptimalBlocks = Read32(TopologyAt + 4);
    }

    private void ReadDiscard(ref BlockDeviceInfo info, uint sectors)
    {
        info.MaxDiscardBlocks = Read32(DiscardSectorsAt) / sectors;
        info.DiscardAlignment = Read32(DiscardAlignmentAt) / sectors;
        if (info.MaxDiscardBlocks != 0) info.Features |= BlockFeatures.Discard;
    }

    private void ReadZeroes(ref BlockDeviceInfo info, uint sectors)
    {
        info.MaxZeroesBlocks = Read32(ZeroesSectorsAt) / sectors;
        if (info.MaxZeroesBlocks != 0) info.Features |= BlockFeatures.WriteZeroes | (Read8(ZeroesMayUnmapAt) != 0 ? BlockFeatures.ZeroesMayUnmap : 0);
    }

    private DeviceFaultException Fault(string what) => new($"{device.Transport.Name}: {what} [V §5.2.4]");

    private byte Read8(int offset)
    {
        Span<byte> bytes = stackalloc byte[1];
        device.Transport.ReadConfig(offset, bytes, 1);
        return bytes[0];
    }

    private ushort Read16(int offset)
    {
        Span<byte> bytes = stackalloc byte[2];
        device.Transport.ReadConfig(offset, bytes, 2);
        return BinaryPrimitives.ReadUInt16LittleEndian(bytes);
    }

    private uint Read32(int offset)
    {
        Span<byte> bytes = stackalloc byte[4];
        device.Transport.ReadConfig(offset, bytes, 4);
        return BinaryPrimitives.ReadUInt32LittleEndian(bytes);
    }

    private ulong Read64(int offset)
    {
        Span<byte> bytes = stackalloc byte[8];
        device.Transport.ReadConfig(offset, bytes, 4);
        return BinaryPrimitives.ReadUInt64LittleEndian(bytes);
    }
}
