using Xinim.Vfio.Registers;

namespace Xinim.Vfio.Remote;

/// <summary>Registers of a device model in another process: one request and reply an access, tens of microseconds.</summary>
internal sealed class RemoteRegisterChannel(RemoteLink link, RemoteBar?[] bars) : RegisterChannel
{
    private readonly RemoteBar[] _bars = [.. bars.Select(bar => bar.GetValueOrDefault())];

    public override ulong Read(int bar, uint offset, int size)
    {
        ref RemoteBar target = ref Locate(bar, offset, size);
        return link.ReadBar(target.Address + offset, size, target.IsMemory);
    }

    public override void Write(int bar, uint offset, int size, ulong value)
    {
        ref RemoteBar target = ref Locate(bar, offset, size);
        link.WriteBar(target.Address + offset, size, value, target.IsMemory);
    }

    /// <summary>Refuses what is outside the BAR: QEMU ends when an address decodes nowhere (message.c, process_bar_read).</summary>
    private ref RemoteBar Locate(int bar, uint offset, int size)
    {
        ref RemoteBar target = ref _bars[bar];
        if (offset + (ulong)size > target.Size)
            throw new ArgumentOutOfRangeException(nameof(offset), offset, $"{size} bytes there are outside BAR {bar} of {target.Size} bytes of {link.Name}");
        return ref target;
    }
}
