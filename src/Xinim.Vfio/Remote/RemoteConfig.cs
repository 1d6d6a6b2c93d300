using Xinim.Vfio.Pci;

namespace Xinim.Vfio.Remote;

/// <summary>Configuration space over a <see cref="RemoteLink"/>: one request and reply an access.</summary>
public sealed class RemoteConfig : IPciConfig
{
    private readonly RemoteLink _link;

    public RemoteConfig(RemoteLink link)
    {
        _link = link;
        Size = RemoteProtocol.ConventionalConfigSize;
        Size = HasCapability(PciConfigSpace.CapabilityPciExpress) ? RemoteProtocol.ExpressConfigSize : RemoteProtocol.ConventionalConfigSize;
    }

    /// <summary>Bytes: 4096 with a PCI Express capability, otherwise 256.</summary>
    public int Size { get; }

    public byte Read8(int offset) => (byte)Read(offset, sizeof(byte));

    public ushort Read16(int offset) => (ushort)Read(offset, sizeof(ushort));

    public uint Read32(int offset) => Read(offset, sizeof(uint));

    public void Write8(int offset, byte value) => Write(offset, sizeof(byte), value);

    public void Write16(int offset, ushort value) => Write(offset, sizeof(ushort), value);

    public void Write32(int offset, uint value) => Write(offset, sizeof(uint), value);

    /// <summary>True where the capability list (PCI 3.0 §6.7) holds this id.</summary>
    public bool HasCapability(byte id)
    {
        CapabilityWalk at = new(Read16(PciConfigSpace.Status), Read8(PciConfigSpace.CapabilitiesPointer));
        while (at.IsThere)
        {
            ushort entry = Read16(at.Offset);
            if ((byte)entry == id) return true;
            at.Follow((byte)(entry >> 8));
        }

        return false;
    }

    private uint Read(int offset, int length)
    {
        Check(offset, length);
        // QEMU adds 4 to the offset whatever the length, and ends where that leaves configuration space (message.c, process_config_read).
        int skipped = Math.Max(0, offset - (Size - sizeof(uint)));
        return skipped == 0 ? _link.ReadConfig(offset, length) : _link.ReadConfig(offset - skipped, sizeof(uint)) >> (8 * skipped);
    }

    private void Write(int offset, int length, uint value)
    {
        Check(offset, length);
        int skipped = Math.Max(0, offset - (Size - sizeof(uint)));
        if (skipped == 0)
        {
            _link.WriteConfig(offset, length, value);
            return;
        }
        uint mask = (uint)((1UL << (8 * length)) - 1) << (8 * skipped);
        uint merged = (_link.ReadConfig(offset - skipped, sizeof(uint)) & ~mask) | ((value << (8 * skipped)) & mask);
        _link.WriteConfig(offset - skipped, sizeof(uint), merged);
    }

    private void Check(int offset, int length)
    {
        if (offset < 0 || offset > Size - length || offset % length != 0)
            throw new ArgumentOutOfRangeException(nameof(offset), offset, $"a {length}-byte access there is unaligned or outside the {Size} bytes of configuration space");
    }
}
