using Xinim.Drivers.Virtio;
using Xinim.Ipc.Protocols;

namespace Xinim.Drivers.Network.Virtio;

/// <summary>Feature bits of network devices [V §5.1.3]. [V] = Virtual I/O Device (VIRTIO) Version 1.2.</summary>
internal static class VirtioNetFeatures
{
    /// <summary>The device fills checksums in.</summary>
    public const VirtioFeatures Checksum = (VirtioFeatures)(1ul << 0);

    /// <summary>Frames may come with a checksum that is known to be right, or is not filled in.</summary>
    public const VirtioFeatures GuestChecksum = (VirtioFeatures)(1ul << 1);

    /// <summary>Receive offloads can be switched at run time.</summary>
    public const VirtioFeatures ControlOffloads = (VirtioFeatures)(1ul << 2);

    /// <summary>The device says how large a packet may be.</summary>
    public const VirtioFeatures Mtu = (VirtioFeatures)(1ul << 3);

    /// <summary>It has an address.</summary>
    public const VirtioFeatures Mac = (VirtioFeatures)(1ul << 5);

    /// <summary>Received TCP over IPv4 need not be cut.</summary>
    public const VirtioFeatures GuestTso4 = (VirtioFeatures)(1ul << 7);

    /// <summary>Received TCP over IPv6 need not be cut.</summary>
    public const VirtioFeatures GuestTso6 = (VirtioFeatures)(1ul << 8);

    /// <summary>The first of its segments may carry CWR.</summary>
    public const VirtioFeatures GuestEcn = (VirtioFeatures)(1ul << 9);

    /// <summary>A received datagram need not be cut into fragments.</summary>
    public const VirtioFeatures GuestUfo = (VirtioFeatures)(1ul << 10);

    /// <summary>The device cuts TCP over IPv4.</summary>
    public const VirtioFeatures HostTso4 = (VirtioFeatures)(1ul << 11);

    /// <summary>The device cuts TCP over IPv6.</summary>
    public const VirtioFeatures HostTso6 = (VirtioFeatures)(1ul << 12);

    /// <summary>A received frame may go over several buffers of the queue.</summary>
    public const VirtioFeatures MergeBuffers = (VirtioFeatures)(1ul << 15);

    /// <summary>The configuration has a status field.</summary>
    public const VirtioFeatures Status = (VirtioFeatures)(1ul << 16);

    /// <summary>There is a control queue.</summary>
    public const VirtioFeatures ControlQueue = (VirtioFeatures)(1ul << 17);

    /// <summary>It sets receive modes.</summary>
    public const VirtioFeatures ControlReceive = (VirtioFeatures)(1ul << 18);

    /// <summary>It filters by VLAN.</summary>
    public const VirtioFeatures ControlVlan = (VirtioFeatures)(1ul << 19);

    /// <summary>The device can ask for a gratuitous packet.</summary>
    public const VirtioFeatures Announce = (VirtioFeatures)(1ul << 21);

    /// <summary>There are several pairs of queues.</summary>
    public const VirtioFeatures MultiQueue = (VirtioFeatures)(1ul << 22);

    /// <summary>The control queue sets the address.</summary>
    public const VirtioFeatures ControlMac = (VirtioFeatures)(1ul << 23);

    /// <summary>The device can gather interrupts.</summary>
    public const VirtioFeatures Coalescing = (VirtioFeatures)(1ul << 53);

    /// <summary>Received UDP over IPv4 need not be cut into datagrams.</summary>
    public const VirtioFeatures GuestUso4 = (VirtioFeatures)(1ul << 54);

    /// <summary>Received UDP over IPv6 need not be cut into datagrams.</summary>
    public const VirtioFeatures GuestUso6 = (VirtioFeatures)(1ul << 55);

    /// <summary>The device cuts UDP into datagrams.</summary>
    public const VirtioFeatures HostUso = (VirtioFeatures)(1ul << 56);

    /// <summary>Received frames come with their hash; headers of both directions have 20 bytes.</summary>
    public const VirtioFeatures HashReport = (VirtioFeatures)(1ul << 57);

    /// <summary>Frames are spread over pairs of queues by a hash.</summary>
    public const VirtioFeatures Rss = (VirtioFeatures)(1ul << 60);

    /// <summary>The configuration has speed and duplex.</summary>
    public const VirtioFeatures SpeedDuplex = (VirtioFeatures)(1ul << 63);

    /// <summary>Kinds of frames that come otherwise than they were on a wire. The bits of the command that switches them, too [V §5.1.6.5.8].</summary>
    public const VirtioFeatures GuestOffloads = GuestChecksum | GuestTso4 | GuestTso6 | GuestEcn | GuestUfo | GuestUso4 | GuestUso6;

    /// <summary>What the driver takes of what a device offers: nothing without what it depends on [V §5.1.3.1].</summary>
    /// <param name="options">VLAN filter, receive checksums and coalescing are choices.</param>
    /// <param name="wishes">The client's.</param>
    /// <param name="pairs">Of queues that it has.</param>
    public static VirtioFeatures Choose(VirtioFeatures offered, VirtioNetOptions options, NetworkWishes wishes, int pairs)
    {
        VirtioFeatures wanted = Mtu | Mac | Status | SpeedDuplex | Checksum;
        if ((offered & Checksum) != 0) wanted |= HostTso4 | HostTso6 | HostUso;
        if ((wishes & NetworkWishes.LargeReceive) != 0) wanted |= ChooseLarge(offered, options);
        if ((offered & ControlQueue) == 0) return wanted;
        wanted |= ControlQueue | ControlReceive | ControlMac | MultiQueue | (pairs > 1 ? Rss : VirtioFeatures.None) | (options.VlanFilter ? ControlVlan : VirtioFeatures.None);
        if ((offered & Status) != 0) wanted |= Announce;
        if ((wishes & NetworkWishes.ReceiveHash) != 0) wanted |= HashReport;
        if (options.CoalesceMicroseconds != 0) wanted |= Coalescing;
        // Frames without a checksum come only while somebody wants them: both or neither.
        if (options.RxChecksum && (offered & ControlOffloads) != 0 && (offered & GuestChecksum) != 0) wanted |= ControlOffloads | GuestChecksum;
        return wanted;
    }

    /// <summary>Without merged buffers each would have to hold the largest frame [V §5.1.6.3.1]: all or none.</summary>
    private static VirtioFeatures ChooseLarge(VirtioFeatures offered, VirtioNetOptions options)
    {
        if ((offered & MergeBuffers) == 0) return VirtioFeatures.None;
        if ((offered & GuestChecksum) == 0 || !options.RxChecksum) return MergeBuffers;
        VirtioFeatures wanted = MergeBuffers | (GuestOffloads & ~GuestEcn);
        return (offered & (GuestTso4 | GuestTso6)) != 0 ? wanted | GuestEcn : wanted;
    }
}
