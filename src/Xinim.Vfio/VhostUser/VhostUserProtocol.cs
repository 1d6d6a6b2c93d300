using System.Runtime.InteropServices;

namespace Xinim.Vfio.VhostUser;

/// <summary>
/// The vhost-user protocol on the wire, as its front end speaks it. [VU] = Vhost-user Protocol, QEMU's docs/interop/vhost-user.rst. Numbers are
/// in the machine's byte order. A message is a header, its payload, and descriptors that ride along with the first byte.
/// </summary>
internal static class VhostUserProtocol
{
    /// <summary>Bytes of a <see cref="Header"/>.</summary>
    public const int HeaderSize = 12;

    /// <summary>Bytes of the longest payload: configuration space with what stands before it [VU Virtio device config space].</summary>
    public const int MaxPayload = ConfigHeaderSize + MaxConfig;

    /// <summary>Bytes before the configuration's own.</summary>
    public const int ConfigHeaderSize = 12;

    /// <summary>Bytes of a configuration space at the most (VHOST_USER_MAX_CONFIG_SIZE of QEMU, DPDK and rust-vmm).</summary>
    public const int MaxConfig = 256;

    /// <summary>Regions that one message can name [VU Memory regions description].</summary>
    public const int TableRegions = 8;

    /// <summary>The front end's features that say "protocol features follow" [VU Communication].</summary>
    public const ulong ProtocolFeaturesBit = 1ul << 30;

    /// <summary>Not a legacy device [V §6.1]; what this front end cannot do without.</summary>
    public const ulong Version1Bit = 1ul << 32;

    /// <summary>What this front end makes use of. Not INFLIGHT_SHMFD: a request that was not completed is asked again by the client that keeps it.</summary>
    public const VhostUserFeatures Supported = VhostUserFeatures.Multiqueue | VhostUserFeatures.ReplyAck | VhostUserFeatures.BackendRequests | VhostUserFeatures.Config
        | VhostUserFeatures.ResetDevice | VhostUserFeatures.MemorySlots | VhostUserFeatures.Status;

    /// <summary>[VU Header].</summary>
    [Flags]
    public enum HeaderFlags : uint
    {
        VersionMask = 3,
        Version = 1,
        Reply = 4,
        NeedReply = 8,
    }

    [StructLayout(LayoutKind.Sequential, Pack = 1)]
    public record struct Header(VhostUserRequest Request, HeaderFlags Flags, uint Size);

    /// <summary>[VU A vring state description].</summary>
    public record struct RingState(uint Index, uint Value);

    /// <summary>[VU A vring address description]; user addresses.</summary>
    public record struct RingAddresses(uint Index, uint Flags, ulong Descriptors, ulong Used, ulong Available, ulong Log);

    /// <summary>A region [VU Memory regions description]. Guest and user addresses are the same here: both are the device's.</summary>
    public record struct Region(ulong GuestAddress, ulong Size, ulong UserAddress, ulong MapOffset);

    /// <summary>[VU Single memory region description].</summary>
    public record struct OneRegion(ulong Padding, Region Region);
}

/// <summary>Requests of the front end [VU Front-end message types].</summary>
internal enum VhostUserRequest : uint
{
    None = 0,
    GetFeatures = 1,
    SetFeatures = 2,
    SetOwner = 3,
    SetMemoryTable = 5,
    SetVringNum = 8,
    SetVringAddress = 9,
    SetVringBase = 10,
    GetVringBase = 11,
    SetVringKick = 12,
    SetVringCall = 13,
    GetProtocolFeatures = 15,
    SetProtocolFeatures = 16,
    GetQueueNum = 17,
    SetVringEnable = 18,
    SetBackendRequestFd = 21,
    GetConfig = 24,
    SetConfig = 25,
    ResetDevice = 34,
    GetMaxMemorySlots = 36,
    AddMemoryRegion = 37,
    RemoveMemoryRegion = 38,
    SetStatus = 39,
    GetStatus = 40,
}

/// <summary>Extensions that both ends must know [VU Protocol features].</summary>
[Flags]
public enum VhostUserFeatures : ulong
{
    None = 0,

    /// <summary>The back end says how many queues it has.</summary>
    Multiqueue = 1ul << 0,

    /// <summary>Any request can be answered, with 0 for success.</summary>
    ReplyAck = 1ul << 3,

    /// <summary>The back end has a socket for requests of its own.</summary>
    BackendRequests = 1ul << 5,

    /// <summary>The configuration space is the back end's.</summary>
    Config = 1ul << 9,

    /// <summary>RESET_DEVICE.</summary>
    ResetDevice = 1ul << 13,

    /// <summary>Memory comes and goes region by region.</summary>
    MemorySlots = 1ul << 15,

    /// <summary>The back end keeps the device status.</summary>
    Status = 1ul << 16,
}
