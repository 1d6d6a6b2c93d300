using Xinim.Vfio.Pci;
using Xinim.Vfio.Registers;

namespace Xinim.Vfio.Remote;

/// <summary>Registers of a device model in another process: one request and reply an access, tens of microseconds.</summary>
internal sealed class RemoteRegisterChannel(RemoteLink link, PciBar?[] bars) : RegisterChannel
{
    private readonly PciBar[] _bars = [.. bars.Select(bar => bar.GetValueOrDefault())];

    public override ulong Read(int bar, uint offset, int size)
    {
        ref PciBar target = ref Locate(bar, offset, size);
        return link.ReadBar(target.Address + offset, size, target.Kind == PciBarKind.Memory);
    }

    public override void Write(int bar, uint offset, int size, ulong value)
    {
        ref PciBar target = ref Locate(bar, offset, size);
        link.WriteBar(target.Address + offset, size, value, target.Kind == PciBarKind.Memory);
    }

    /// <summary>Refuses what is outside the BAR: QEMU ends when an address decodes nowhere (message.c, process_bar_read).</summary>
    private ref PciBar Locate(int bar, uint offset, int size)
    {
        ref PciBar target = ref _bars[bar];
        if (offset + (ulong)size > target.Size)
            throw new ArgumentOutOfRangeException(nameof(offset), offset, $"{size} bytes there are outside BAR {bar} of {target.Size} bytes of {link.Name}");
        return ref target;
    }
}
