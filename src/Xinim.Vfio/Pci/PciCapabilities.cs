using System.Buffers.Binary;

namespace Xinim.Vfio.Pci;

/// <summary>The MSI-X capability (PCI 3.0 §6.8.2).</summary>
/// <param name="Vectors">1–2,048.</param>
/// <param name="TableBar">BAR that holds the vector table.</param>
/// <param name="TableOffset">Bytes from that BAR's start.</param>
/// <param name="PendingBar">BAR that holds the pending bits.</param>
/// <param name="PendingOffset">Bytes from that BAR's start.</param>
public readonly record struct MsiXCapability(int Vectors, int TableBar, uint TableOffset, int PendingBar, uint PendingOffset);

/// <summary>
/// What a function says of itself in its capability list. Where that is broken, what was found until then stands.
/// </summary>
public sealed record PciCapabilities
{
    /// <summary>Vectors that the MSI capability can have; 0 without one.</summary>
    public int MsiVectors { get; private init; }

    /// <summary>MSI-X, where there is one with valid places.</summary>
    public MsiXCapability? MsiX { get; private init; }

    /// <summary>Has a PCI Express capability.</summary>
    public bool IsExpress { get; private init; }

    /// <summary>Has a power management capability.</summary>
    public bool HasPowerManagement { get; private init; }

    /// <summary>Says that it can reset its function alone (PCIe 4.0 §6.6.2, or the Advanced Features capability).</summary>
    public bool HasFunctionLevelReset { get; private init; }

    /// <summary>False where only the first 64 bytes could be read, as happens without root: then nothing else here means anything.</summary>
    public bool IsComplete { get; private init; }

    /// <summary>Reads the list.</summary>
    /// <param name="config">Configuration space: 64 bytes without root, 256 or 4,096 with.</param>
    public static PciCapabilities Parse(ReadOnlySpan<byte> config)
    {
        PciCapabilities found = new() { IsComplete = config.Length > CapabilityWalk.First };
        if (!found.IsComplete) return found;
        CapabilityWalk at = new(Word(config, PciConfigSpace.Status), config[PciConfigSpace.CapabilitiesPointer]);
        while (at.IsThere && at.Offset + 2 <= config.Length)
        {
            found = Add(found, config[at.Offset], config[at.Offset..]);
            at.Follow(config[at.Offset + 1]);
        }

        return found;
    }

    private static PciCapabilities Add(PciCapabilities found, byte id, ReadOnlySpan<byte> body) => id switch
    {
        PciConfigSpace.CapabilityPowerManagement => found with { HasPowerManagement = true },
        PciConfigSpace.CapabilityMsi when body.Length >= 4 => found with { MsiVectors = MsiCount(body) },
        PciConfigSpace.CapabilityMsiX when body.Length >= 12 => found with { MsiX = ReadMsiX(body) },
        PciConfigSpace.CapabilityPciExpress => found with
        {
            IsExpress = true,
            // Device Capabilities, bit 28.
            HasFunctionLevelReset = found.HasFunctionLevelReset || (body.Length >= 8 && (BinaryPrimitives.ReadUInt32LittleEndian(body[4..]) >> 28 & 1) != 0),
        },
        // AF Capabilities: bit 0 transactions pending, bit 1 FLR (Advanced Capabilities ECN).
        PciConfigSpace.CapabilityAdvancedFeatures when body.Length >= 4 => found with { HasFunctionLevelReset = found.HasFunctionLevelReset || (body[3] & 3) == 3 },
        _ => found,
    };

    // Multiple Message Capable, bits 3:1; 6 and 7 are reserved.
    private static int MsiCount(ReadOnlySpan<byte> body) => 1 << Math.Min(Word(body, 2) >> 1 & 7, 5);

    private static MsiXCapability? ReadMsiX(ReadOnlySpan<byte> body)
    {
        uint table = BinaryPrimitives.ReadUInt32LittleEndian(body[4..]);
        uint pending = BinaryPrimitives.ReadUInt32LittleEndian(body[8..]);
        if ((table & 7) > 5 || (pending & 7) > 5) return null;
        return new MsiXCapability((Word(body, 2) & 0x7ff) + 1, (int)(table & 7), table & ~7u, (int)(pending & 7), pending & ~7u);
    }

    private static ushort Word(ReadOnlySpan<byte> bytes, int offset) => BinaryPrimitives.ReadUInt16LittleEndian(bytes[offset..]);
}
