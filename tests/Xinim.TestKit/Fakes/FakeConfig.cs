using System.Buffers.Binary;
using Xinim.Vfio;

namespace Xinim.TestKit.Fakes;

/// <summary>256 bytes of PCI configuration space in which the identity and the BARs are read-only.</summary>
public sealed class FakeConfig : IPciConfig
{
    private const int Command = 0x04;
    private const ushort BusMasterBit = 1 << 2;
    private readonly byte[] _bytes = new byte[256];

    public FakeConfig(PciIdentity identity)
    {
        Identity = identity;
        BinaryPrimitives.WriteUInt16LittleEndian(_bytes.AsSpan(0x00), identity.Vendor);
        BinaryPrimitives.WriteUInt16LittleEndian(_bytes.AsSpan(0x02), identity.Device);
        BinaryPrimitives.WriteUInt32LittleEndian(_bytes.AsSpan(0x08), (identity.ClassCode << 8) | identity.Revision);
        BinaryPrimitives.WriteUInt16LittleEndian(_bytes.AsSpan(0x2c), identity.SubsystemVendor);
        BinaryPrimitives.WriteUInt16LittleEndian(_bytes.AsSpan(0x2e), identity.Subsystem);
    }

    public PciIdentity Identity { get; }

    /// <summary>Called after each change of the command register that switches bus mastering.</summary>
    public Action<bool>? BusMasterChanged { get; set; }

    /// <summary>True while the device may start DMA.</summary>
    public bool BusMaster => (Read16(Command) & BusMasterBit) != 0;

    /// <summary>A register that is served elsewhere: offset and bytes; null where it is plain memory.</summary>
    public Func<int, int, uint?>? Reading { get; set; }

    /// <summary>A register that is served elsewhere: offset, bytes and value; false where it is plain memory.</summary>
    public Func<int, int, uint, bool>? Writing { get; set; }

    /// <summary>What the hardware has there, read-only or not.</summary>
    public void Poke(int offset, params ReadOnlySpan<byte> bytes) => bytes.CopyTo(_bytes.AsSpan(offset));

    /// <summary>What the supervisor does after a driver's death.</summary>
    public void ClearBusMaster() => Write16(Command, (ushort)(Read16(Command) & ~BusMasterBit));

    public byte Read8(int offset) => (byte?)Reading?.Invoke(offset, 1) ?? _bytes[Check(offset, 1)];

    public ushort Read16(int offset) => (ushort?)Reading?.Invoke(offset, 2) ?? BinaryPrimitives.ReadUInt16LittleEndian(_bytes.AsSpan(Check(offset, 2)));

    public uint Read32(int offset) => Reading?.Invoke(offset, 4) ?? BinaryPrimitives.ReadUInt32LittleEndian(_bytes.AsSpan(Check(offset, 4)));

    public void Write8(int offset, byte value)
    {
        if (Writing?.Invoke(offset, 1, value) != true) Write(offset, [value]);
    }

    public void Write16(int offset, ushort value)
    {
        if (Writing?.Invoke(offset, 2, value) == true) return;
        Span<byte> bytes = stackalloc byte[2];
        BinaryPrimitives.WriteUInt16LittleEndian(bytes, value);
        Write(offset, bytes);
    }

    public void Write32(int offset, uint value)
    {
        if (Writing?.Invoke(offset, 4, value) == true) return;
        Span<byte> bytes = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, value);
        Write(offset, bytes);
    }

    private void Write(int offset, ReadOnlySpan<byte> value)
    {
        Check(offset, value.Length);
        bool before = BusMaster;
        for (int i = 0; i < value.Length; i++)
        {
            bool readOnly = offset + i is < Command or (>= 0x08 and < 0x3c);
            if (!readOnly) _bytes[offset + i] = value[i];
        }

        if (BusMaster != before) BusMasterChanged?.Invoke(BusMaster);
    }

    private static int Check(int offset, int size) => offset >= 0 && offset % size == 0 && offset + size <= 256
        ? offset
        : throw new ArgumentOutOfRangeException(nameof(offset), offset, $"no aligned {size}-byte access to configuration space");
}
