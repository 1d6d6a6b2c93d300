using Xinim.Vfio;
using Xinim.Vfio.Registers;

namespace Xinim.Drivers.Virtio.Transports;

/// <summary>BARs reached through configuration space, for one that cannot be mapped [V §4.1.4.9]. Slow, and for the control path.</summary>
/// <param name="at">The capability's offset.</param>
internal sealed class VirtioPciWindow(IPciConfig config, int at) : RegisterChannel
{
    // bar, offset and length choose what pci_cfg_data shows [V §4.1.4.9].
    private const int Bar = 4, OffsetInBar = 8, Length = 12, Data = 16;

    public override ulong Read(int bar, uint offset, int size)
    {
        Choose(bar, offset, size);
        return size switch
        {
            1 => config.Read8(at + Data),
            2 => config.Read16(at + Data),
            4 => config.Read32(at + Data),
            _ => throw new ArgumentOutOfRangeException(nameof(size), size, "the window does 1, 2 and 4 bytes"),
        };
    }

    public override void Write(int bar, uint offset, int size, ulong value)
    {
        Choose(bar, offset, size);
        switch (size)
        {
            case 1: config.Write8(at + Data, (byte)value); break;
            case 2: config.Write16(at + Data, (ushort)value); break;
            case 4: config.Write32(at + Data, (uint)value); break;
            default: throw new ArgumentOutOfRangeException(nameof(size), size, "the window does 1, 2 and 4 bytes");
        }
    }

    private void Choose(int bar, uint offset, int size)
    {
        config.Write8(at + Bar, (byte)bar);
        config.Write32(at + OffsetInBar, offset);
        config.Write32(at + Length, (uint)size);
    }
}
