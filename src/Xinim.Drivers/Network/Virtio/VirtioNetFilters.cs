using System.Buffers.Binary;
using Xinim.Drivers.Virtio;
using Xinim.Ipc.Protocols;

namespace Xinim.Drivers.Network.Virtio;

/// <summary>Turns <see cref="NetworkFilters"/> into commands [V §5.1.6.5]. A device that has no such commands delivers whatever reaches it.</summary>
internal sealed class VirtioNetFilters
{
    private const uint StandardFrame = 1518;
    private const uint MinFrame = 64;
    private const int MostTableBytes = 8 + ((NetworkFilters.MaxUnicast + NetworkFilters.MaxMulticast) * 6);

    private const string NoVlans = "the device filters no VLANs, or option 'vlanFilter' is not on";
    private const NetworkFilterFlags Known = NetworkFilterFlags.Promiscuous | NetworkFilterFlags.AllMulticast | NetworkFilterFlags.VlanFilter | NetworkFilterFlags.RxChecksum;

    private NetworkFilters _filters;
    private NetworkFilters.VlanBitmap _vlans;

    /// <summary>Bytes of the largest frame that the driver can do.</summary>
    public const uint MostFrame = VirtioNetRx.MinBuffer * VirtioNetRx.MaxBuffers;

    /// <summary>Bytes of the largest frame that the device can do.</summary>
    public uint MaxFrameOfDevice { get; private set; } = MostFrame;

    /// <summary>Bytes of the largest frame that is accepted, without FCS.</summary>
    public uint MaxFrame => _filters.MaxFrame == 0 ? Math.Min(StandardFrame, MaxFrameOfDevice) : _filters.MaxFrame;

    public bool ReportChecksums => (_filters.Flags & NetworkFilterFlags.RxChecksum) != 0;

    /// <summary>As they were taken last.</summary>
    public NetworkFilters Current => _filters;

    /// <summary>Takes new filters.</summary>
    /// <param name="filtersVlans">The device filters by VLAN.</param>
    /// <exception cref="ArgumentException">A value that the device cannot do; nothing was changed.</exception>
    public void Set(in NetworkFilters filters, bool filtersVlans)
    {
        if ((filters.Flags & (NetworkFilterFlags.VlanStrip | NetworkFilterFlags.FlowControl)) != 0)
            throw new ArgumentException("virtio devices strip no VLAN tags and have no flow control; leave VlanStrip and FlowControl out");
        if ((filters.Flags & NetworkFilterFlags.VlanFilter) != 0 && !filtersVlans)
            throw new ArgumentException(NoVlans);
        if ((filters.Flags & ~Known) != 0) throw new ArgumentException($"filter flags 0x{(uint)filters.Flags:x}: only 0x{(uint)Known:x} are known");
        CheckFrame(filters.MaxFrame);
        if (filters.UnicastCount > NetworkFilters.MaxUnicast) throw new ArgumentException($"{filters.UnicastCount} unicast addresses: a message carries {NetworkFilters.MaxUnicast}");
        if (filters.MulticastCount > NetworkFilters.MaxMulticast)
            throw new ArgumentException($"{filters.MulticastCount} multicast addresses: a message carries {NetworkFilters.MaxMulticast}; ask for all multicast");
        for (int i = 0; i < filters.UnicastCount; i++)
            if (filters.Unicast[i].IsMulticast) throw new ArgumentException($"{filters.Unicast[i]} is a group address, not a unicast one");
        for (int i = 0; i < filters.MulticastCount; i++)
            if (!filters.Multicast[i].IsMulticast) throw new ArgumentException($"{filters.Multicast[i]} is not a group address");
        _filters = filters;
    }

    /// <summary>The device has been asked.</summary>
    /// <param name="bytes">Of the largest frame.</param>
    /// <exception cref="ArgumentException">Filters that were set before ask for more.</exception>
    public void LimitFrame(uint bytes)
    {
        MaxFrameOfDevice = Math.Min(bytes, MostFrame);
        CheckFrame(_filters.MaxFrame);
    }

    /// <summary>Gives them to the device.</summary>
    /// <param name="control">The control queue; null where there is none.</param>
    /// <param name="fresh">The device was reset: it knows no VLAN.</param>
    /// <exception cref="ArgumentException">The device has no filter for VLANs, or refuses a command.</exception>
    public void Write(VirtioDevice device, VirtioNetControl? control, bool fresh)
    {
        if ((_filters.Flags & NetworkFilterFlags.VlanFilter) != 0 && !device.Has(VirtioNetFeatures.ControlVlan)) throw new ArgumentException(NoVlans);
        if (control is null) return;
        if (device.Has(VirtioNetFeatures.ControlReceive))
        {
            Require(control.Do(VirtioNetControl.Promiscuous, [Flag(NetworkFilterFlags.Promiscuous)]), "promiscuous mode");
            Require(control.Do(VirtioNetControl.AllMulticast, [Flag(NetworkFilterFlags.AllMulticast)]), "all multicast");
            WriteTable(control);
        }

        if (device.Has(VirtioNetFeatures.ControlVlan)) WriteVlans(control, fresh);
        if (device.Has(VirtioNetFeatures.ControlOffloads)) WriteOffloads(device, control);
    }

    private void CheckFrame(uint bytes)
    {
        if (bytes != 0 && (bytes < MinFrame || bytes > MaxFrameOfDevice)) throw new ArgumentException($"a largest frame of {bytes} bytes: the device does {MinFrame} to {MaxFrameOfDevice}");
    }

    /// <summary>Two lists, each a count and its addresses [V §5.1.6.5.2].</summary>
    private void WriteTable(VirtioNetControl control)
    {
        Span<byte> data = stackalloc byte[MostTableBytes];
        int at = 4;
        BinaryPrimitives.WriteUInt32LittleEndian(data, _filters.UnicastCount);
        for (int i = 0; i < _filters.UnicastCount; i++, at += 6) ((ReadOnlySpan<byte>)_filters.Unicast[i]).CopyTo(data[at..]);
        BinaryPrimitives.WriteUInt32LittleEndian(data[at..], _filters.MulticastCount);
        at += 4;
        for (int i = 0; i < _filters.MulticastCount; i++, at += 6) ((ReadOnlySpan<byte>)_filters.Multicast[i]).CopyTo(data[at..]);
        Require(control.Do(VirtioNetControl.SetMacTable, data[..at]), $"{_filters.UnicastCount} unicast and {_filters.MulticastCount} multicast addresses");
    }

    /// <summary>One command for each VLAN that comes or goes; without a filter all 4,096 are let through [V §5.1.6.5.3].</summary>
    private void WriteVlans(VirtioNetControl control, bool fresh)
    {
        bool all = (_filters.Flags & NetworkFilterFlags.VlanFilter) == 0;
        if (fresh) _vlans = default;
        Span<byte> id = stackalloc byte[2];
        for (int word = 0; word < NetworkFilters.VlanWords; word++)
        {
            uint wanted = all ? uint.MaxValue : _filters.Vlans[word];
            uint changed = wanted ^ _vlans[word];
            for (; changed != 0; changed &= changed - 1)
            {
                int bit = System.Numerics.BitOperations.TrailingZeroCount(changed);
                BinaryPrimitives.WriteUInt16LittleEndian(id, (ushort)((word * 32) + bit));
                bool add = (wanted >> bit & 1) != 0;
                Require(control.Do(add ? VirtioNetControl.AddVlan : VirtioNetControl.RemoveVlan, id), $"VLAN {(word * 32) + bit}");
                _vlans[word] ^= 1u << bit;
            }
        }
    }

    /// <summary>The bits are those of the features [V §5.1.6.5.8]. Merged buffers were negotiated because the client wants all of them.</summary>
    private void WriteOffloads(VirtioDevice device, VirtioNetControl control)
    {
        VirtioFeatures agreed = device.Features & VirtioNetFeatures.GuestOffloads;
        Span<byte> bits = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(bits, ReportChecksums || device.Has(VirtioNetFeatures.MergeBuffers) ? (ulong)agreed : 0);
        Require(control.Do(VirtioNetControl.SetOffloads, bits), "the receive offloads");
    }

    private byte Flag(NetworkFilterFlags flag) => (_filters.Flags & flag) != 0 ? (byte)1 : (byte)0;

    private static void Require(bool done, string what)
    {
        if (!done) throw new ArgumentException($"the device refuses {what} (VIRTIO_NET_ERR)");
    }
}
