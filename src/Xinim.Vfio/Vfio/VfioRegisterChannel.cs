using Xinim.Vfio.Registers;

namespace Xinim.Vfio.Vfio;

/// <summary>
/// Registers that cannot be mapped: I/O ports, which only the kernel can reach, and memory BARs of which it keeps a part to itself.
/// One system call an access, so never on a data path where the device gives a choice.
/// </summary>
internal sealed class VfioRegisterChannel(VfioDevice device, VfioRegion region) : RegisterChannel
{
    public override ulong Read(int bar, uint offset, int size)
    {
        Check(bar, size);
        return device.ReadRegion(region, offset, size);
    }

    public override void Write(int bar, uint offset, int size, ulong value)
    {
        Check(bar, size);
        device.WriteRegion(region, offset, size, value);
    }

    // Kernels differ in whether they cut an 8-byte access into two of 4 (drivers/vfio/pci/vfio_pci_rdwr.c): not the single access that is promised.
    private void Check(int bar, int size)
    {
        if (bar != region.Index) throw new ArgumentOutOfRangeException(nameof(bar), bar, $"this channel is BAR {region.Index}");
        if (size > sizeof(uint)) throw new ArgumentOutOfRangeException(nameof(size), size, $"{device.Name} BAR {bar} takes accesses of at most 4 bytes");
    }
}
