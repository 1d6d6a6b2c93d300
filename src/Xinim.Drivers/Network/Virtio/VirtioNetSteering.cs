using System.Buffers.Binary;
using Xinim.Drivers.Virtio;
using Xinim.Vfio;

namespace Xinim.Drivers.Network.Virtio;

/// <summary>
/// Which pair of queues a frame is received on. With MQ the device follows what is sent: a connection comes back where it was sent from [V §5.1.6.5.5]. With RSS it
/// spreads connections over all pairs by a hash of their addresses [V §5.1.6.5.7].
/// </summary>
internal static class VirtioNetSteering
{
    // struct virtio_net_rss_config [V §5.1.6.5.7.1].
    private const int MaskAt = 4, TableAt = 8;

    /// <summary>hash_types, four reserved words, a length.</summary>
    private const int HashKeyAt = 4 + 8 + 1;

    /// <summary>A device has room for as many at least [V §5.1.4.1], and so has a command.</summary>
    private const int TableEntries = 128;

    /// <summary>Of IPv4, TCPv4, UDPv4, IPv6, TCPv6, UDPv6 and those of IPv6 with extension headers [V §5.1.6.4.3.1].</summary>
    private const uint KnownHashes = 0x1ff;

    /// <summary>Enables the pairs of queues, after they are set up [V §5.1.6.5.6.1].</summary>
    /// <param name="pairs">More than one.</param>
    /// <exception cref="DeviceFaultException">The device refuses what it offered.</exception>
    public static void Enable(VirtioDevice device, VirtioNetConfig config, VirtioNetControl control, int pairs)
    {
        if (!Write(device, config, control, pairs))
            throw new DeviceFaultException($"{device.Transport.Name} refuses {pairs} pairs of queues, of {config.ReadMaxPairs()} that it has (VIRTIO_NET_ERR) [V §5.1.6.5.5]");
    }

    /// <summary>Says what is to be hashed, where frames are told their hash and RSS has not said it [V §5.1.6.5.6].</summary>
    /// <param name="pairs">That are enabled.</param>
    /// <exception cref="DeviceFaultException">The device refuses what it offered.</exception>
    public static void EnableHashes(VirtioDevice device, VirtioNetConfig config, VirtioNetControl control, int pairs)
    {
        if (!device.Has(VirtioNetFeatures.HashReport) || (pairs > 1 && device.Has(VirtioNetFeatures.Rss))) return;
        if (!control.Do(VirtioNetControl.SetHash, HashConfig(config)))
            throw new DeviceFaultException($"{device.Transport.Name} refuses to tell hashes (VIRTIO_NET_ERR), which it offered [V §5.1.6.5.6.4]");
    }

    /// <summary>
    /// Whether queues are to be notified once a second though nothing is new in them. QEMU 7.2 hashes a frame that has come to one queue, finds no buffer in the queue that
    /// this leads to, and keeps the first one waiting until that very one is notified, which has all the buffers it needs (hw/net/virtio-net.c, virtio_net_receive_rcu;
    /// net/queue.c): it would be silent for ever.
    /// </summary>
    public static bool NeedsReminders(VirtioDevice device, int pairs) => pairs > 1 && device.Has(VirtioNetFeatures.Rss);

    private static bool Write(VirtioDevice device, VirtioNetConfig config, VirtioNetControl control, int pairs)
    {
        Span<byte> data = stackalloc byte[2];
        BinaryPrimitives.WriteUInt16LittleEndian(data, (ushort)pairs);
        return device.Has(VirtioNetFeatures.Rss) ? control.Do(VirtioNetControl.SetRss, RssConfig(config, pairs)) : control.Do(VirtioNetControl.SetPairs, data);
    }

    private static byte[] RssConfig(VirtioNetConfig config, int pairs)
    {
        ReadOnlySpan<byte> key = Key;
        (uint hashes, ushort entries, byte keyBytes) = config.ReadRss();
        if (entries < TableEntries || keyBytes < key.Length)
            throw new DeviceFaultException($"the device has an indirection table of {entries} entries and a key of {keyBytes} bytes; {TableEntries} and {key.Length} are the least [V §5.1.4.1]");
        byte[] data = new byte[TableAt + (2 * TableEntries) + 3 + key.Length];
        BinaryPrimitives.WriteUInt32LittleEndian(data, hashes & KnownHashes);
        BinaryPrimitives.WriteUInt16LittleEndian(data.AsSpan(MaskAt), TableEntries - 1);
        // unclassified_queue stays 0, the first pair.
        for (int i = 0; i < TableEntries; i++) BinaryPrimitives.WriteUInt16LittleEndian(data.AsSpan(TableAt + (2 * i)), (ushort)(i % pairs));
        Span<byte> rest = data.AsSpan(TableAt + (2 * TableEntries));
        BinaryPrimitives.WriteUInt16LittleEndian(rest, (ushort)pairs); // max_tx_vq
        rest[2] = (byte)key.Length;
        key.CopyTo(rest[3..]);
        return data;
    }

    /// <summary>struct virtio_net_hash_config [V §5.1.6.5.6.4]: the same without a table.</summary>
    private static byte[] HashConfig(VirtioNetConfig config)
    {
        (uint hashes, _, byte keyBytes) = config.ReadRss();
        if (keyBytes < Key.Length) throw new DeviceFaultException($"the device has a key of {keyBytes} bytes; {Key.Length} are the least [V §5.1.4.1]");
        byte[] data = new byte[HashKeyAt + Key.Length];
        BinaryPrimitives.WriteUInt32LittleEndian(data, hashes & KnownHashes);
        data[HashKeyAt - 1] = (byte)Key.Length;
        Key.CopyTo(data.AsSpan(HashKeyAt));
        return data;
    }

    /// <summary>The usual key of the Toeplitz hash (Microsoft, "Verifying the RSS hash calculation").</summary>
    private static ReadOnlySpan<byte> Key =>
    [
        0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb,
        0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
    ];
}
