using Xinim.Vfio;
using Xinim.Vfio.Registers;

namespace Xinim.Drivers.Virtio.Transports;

/// <summary>One of a device's structures, opened: a part of a BAR, or of the window where the BAR cannot be mapped.</summary>
internal readonly struct VirtioPciStructure
{
    private readonly Mmio _bar;
    private readonly uint _start;

    private VirtioPciStructure(Mmio bar, uint start, uint length)
    {
        _bar = bar;
        _start = start;
        Length = length;
    }

    /// <summary>Bytes, at most as many as the BAR has.</summary>
    public uint Length { get; }

    /// <param name="what">For messages, with its section.</param>
    /// <param name="least">Bytes that the structure has at least.</param>
    /// <param name="alignment">Of its offset [V §4.1.4].</param>
    /// <exception cref="DeviceFaultException">There is none, it is too short, misaligned, or outside its BAR.</exception>
    public static VirtioPciStructure Open(IPciDevice device, VirtioPciPlace? place, int window, string what, uint least, uint alignment)
    {
        if (place is not { } at) throw new DeviceFaultException($"{device.Name} has no {what}; a device of VirtIO 0.9 only is not supported (with QEMU: disable-modern=off)");
        if (at.Length < least) throw new DeviceFaultException($"{device.Name}: {what} has {at.Length} bytes, at least {least} are needed");
        if (at.Offset % alignment != 0) throw new DeviceFaultException($"{device.Name}: {what} is at 0x{at.Offset:x} of BAR {at.Bar}, no multiple of {alignment}");
        Mmio bar = OpenBar(device, at, window);
        if (at.Offset > bar.Length || at.Length > bar.Length - at.Offset)
            throw new DeviceFaultException($"{device.Name}: {what} is at 0x{at.Offset:x} of BAR {at.Bar}, {at.Length} bytes; the BAR has {bar.Length}");
        return new VirtioPciStructure(bar, at.Offset, at.Length);
    }

    public byte Read8(uint offset) => _bar.Read8(_start + offset);

    public ushort Read16(uint offset) => _bar.Read16(_start + offset);

    public uint Read32(uint offset) => _bar.Read32(_start + offset);

    public void Write8(uint offset, byte value) => _bar.Write8(_start + offset, value);

    public void Write16(uint offset, ushort value) => _bar.Write16(_start + offset, value);

    public void Write32(uint offset, uint value) => _bar.Write32(_start + offset, value);

    /// <summary>64-bit fields are two accesses of 32 bits, low half first [V §4.1.3.1].</summary>
    public void Write64(uint offset, ulong value)
    {
        Write32(offset, (uint)value);
        Write32(offset + 4, (uint)(value >> 32));
    }

    private static Mmio OpenBar(IPciDevice device, in VirtioPciPlace at, int window)
    {
        try
        {
            return device.MapBar(at.Bar);
        }
        catch (DeviceFaultException) when (window != 0)
        {
            return new Mmio(new VirtioPciWindow(device.Config, window), at.Bar, uint.MaxValue);
        }
    }
}
