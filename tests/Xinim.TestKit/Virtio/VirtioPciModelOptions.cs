using Xinim.Vfio;

namespace Xinim.TestKit.Virtio;

/// <summary>What a <see cref="VirtioPciModel"/> is.</summary>
public sealed record VirtioPciModelOptions
{
    /// <summary>The capabilities of a device as QEMU lays it out, with as much of each structure as it has.</summary>
    public static IReadOnlyList<VirtioPciCapability> Usual { get; } =
    [
        new(VirtioPciCapability.CommonType, 4, 0x0000, 0x1000),
        new(VirtioPciCapability.IsrType, 4, 0x1000, 0x1000),
        new(VirtioPciCapability.DeviceType, 4, 0x2000, 0x1000),
        new(VirtioPciCapability.NotifyType, 4, 0x3000, 0x1000),
        new(VirtioPciCapability.AccessType, 0, 0, 0),
    ];

    public PciIdentity Identity { get; init; } = new(0x1af4, 0x1041, 0x1af4, 0x1100, 0x020000, 1);

    public IReadOnlyList<VirtioPciCapability> Capabilities { get; init; } = Usual;

    /// <summary>The capability list ends in itself.</summary>
    public bool Loops { get; init; }

    /// <summary>The status register says that there is a list.</summary>
    public bool HasList { get; init; } = true;

    /// <summary>Bytes of the BARs that can be mapped.</summary>
    public IReadOnlyDictionary<int, uint> Bars { get; init; } = new Dictionary<int, uint> { [4] = 0x4000 };

    /// <summary>notify_off_multiplier [V §4.1.4.4].</summary>
    public uint Multiplier { get; init; } = 4;

    public ulong Features { get; init; } = 1ul << 32 | 1ul << 33;

    /// <summary>queue_size of each queue after a reset.</summary>
    public IReadOnlyList<ushort> Queues { get; init; } = [256, 256, 64];

    /// <summary>queue_notify_off of a queue; its number where there is none here.</summary>
    public IReadOnlyDictionary<int, ushort> NotifyOffsets { get; init; } = new Dictionary<int, ushort>();

    /// <summary>Device configuration, in the order of its bytes.</summary>
    public byte[] Config { get; init; } = [];

    /// <summary>Reads of device_status that still show the old one after a reset was written; -1 for ever.</summary>
    public int ResetReads { get; init; }

    /// <summary>Reads of queue_reset that still show 1; -1 for ever.</summary>
    public int QueueResetReads { get; init; }

    /// <summary>Reads of the device configuration during which it changes; -1 for all.</summary>
    public int ConfigChanges { get; init; }

    /// <summary>Vectors from here on are refused.</summary>
    public int RefusedVectors { get; init; } = int.MaxValue;
}

/// <summary>struct virtio_pci_cap [V §4.1.4].</summary>
/// <param name="Length">Of the structure.</param>
/// <param name="Bytes">cap_len; 0 for what the type has.</param>
public sealed record VirtioPciCapability(byte Type, byte Bar, uint Offset, uint Length, byte Bytes = 0)
{
    // cfg_type [V §4.1.4].
    public const byte CommonType = 1, NotifyType = 2, IsrType = 3, DeviceType = 4, AccessType = 5;

    /// <summary>cap_len as it is shown.</summary>
    public byte ShownBytes => Bytes != 0 ? Bytes : Type is NotifyType or AccessType ? (byte)20 : (byte)16;
}
