using System.Buffers.Binary;
using Xinim.Drivers.Virtio;
using Xinim.Ipc.Protocols;
using Xinim.Vfio;

namespace Xinim.Drivers.Network.Virtio;

/// <summary>struct virtio_net_config [V §5.1.4]. A field is read only where its feature was agreed on.</summary>
internal sealed class VirtioNetConfig(VirtioDevice device)
{
    // Offsets [V §5.1.4].
    private const int MacAt = 0, StatusAt = 6, PairsAt = 8, MtuAt = 10, SpeedAt = 12, DuplexAt = 16, KeyAt = 17, TableAt = 18, HashesAt = 20;
    private const ushort MostPairs = 0x8000; // [V §5.1.4.1]
    private const ushort LinkUp = 1, Announce = 2; // VIRTIO_NET_S_LINK_UP, VIRTIO_NET_S_ANNOUNCE [V §5.1.4]
    private const ushort LeastMtu = 68; // [V §5.1.4.1]
    private const uint MaxSpeed = int.MaxValue; // greater means unknown [V §5.1.4.2]
    private const byte FullDuplex = 1; // [V §5.1.4]

    /// <summary>The device's address; null where it has none of its own.</summary>
    public MacAddress? ReadMac()
    {
        if (!device.Has(VirtioNetFeatures.Mac)) return null;
        Span<byte> mac = stackalloc byte[6];
        device.Transport.ReadConfig(MacAt, mac, 1);
        return MacAddress.From(mac);
    }

    /// <summary>Link and, where the device wishes one, an announcement. Without a status field the link is up [V §5.1.4].</summary>
    public (LinkState Link, bool Announce) ReadStatus()
    {
        ushort status = device.Has(VirtioNetFeatures.Status) ? Read16(StatusAt) : LinkUp;
        if ((status & LinkUp) == 0) return (LinkState.Down, false);
        LinkState link = new(1, 0, 1);
        if (device.Has(VirtioNetFeatures.SpeedDuplex))
        {
            uint speed = Read32(SpeedAt);
            link = new LinkState(1, speed <= MaxSpeed ? speed : 0, Read8(DuplexAt) == FullDuplex ? 1u : 0);
        }

        return (link, (status & Announce) != 0);
    }

    /// <summary>Bytes of the largest packet without link-layer header; null where the device does not say [V §5.1.4].</summary>
    /// <exception cref="DeviceFaultException">It says what it must not.</exception>
    public ushort? ReadMtu()
    {
        if (!device.Has(VirtioNetFeatures.Mtu)) return null;
        ushort mtu = Read16(MtuAt);
        return mtu >= LeastMtu ? mtu : throw new DeviceFaultException($"{device.Transport.Name}: mtu is {mtu}, less than {LeastMtu} [V §5.1.4.1]");
    }

    /// <summary>Pairs of queues; without MQ one [V §5.1.4].</summary>
    /// <exception cref="DeviceFaultException">It says what it must not.</exception>
    public ushort ReadMaxPairs()
    {
        if (!device.Has(VirtioNetFeatures.MultiQueue)) return 1;
        ushort pairs = Read16(PairsAt);
        return pairs is > 0 and <= MostPairs ? pairs : throw new DeviceFaultException($"{device.Transport.Name}: max_virtqueue_pairs is {pairs}, not 1 to {MostPairs} [V §5.1.4.1]");
    }

    /// <summary>What RSS can do: kinds of hashes, entries of the indirection table, bytes of the key [V §5.1.4].</summary>
    public (uint Hashes, ushort Entries, byte KeyBytes) ReadRss() => (Read32(HashesAt), Read16(TableAt), Read8(KeyAt));

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

    private byte Read8(int offset)
    {
        Span<byte> bytes = stackalloc byte[1];
        device.Transport.ReadConfig(offset, bytes, 1);
        return bytes[0];
    }
}
