namespace Xinim.Vfio.Pci;

/// <summary>Base address registers in configuration space (PCI 3.0 §6.2.5.1), for whoever has no kernel that sizes and assigns them.</summary>
internal static class PciBarRegisters
{
    /// <summary>Of a type 0 header.</summary>
    public const int Count = 6;
    private const uint MemoryFlags = 0xF;
    private const uint IoFlags = 3;
    private const uint TypeMask = 6;
    private const uint Type64 = 4;
    private const uint Prefetchable = 8;

    /// <summary>
    /// Reads addresses and finds sizes by writing all ones, with decoding off meanwhile (PCI 3.0 §6.2.5.1, implementation note). Only while
    /// nobody else uses the device; every register has its old contents afterwards.
    /// </summary>
    /// <returns>By index; null where there is no BAR.</returns>
    /// <exception cref="DeviceFaultException">A size is no power of two.</exception>
    public static PciBar?[] Probe(IPciConfig config, string name)
    {
        PciBar?[] found = new PciBar?[Count];
        ushort command = config.Read16(PciConfigSpace.Command);
        config.Write16(PciConfigSpace.Command, (ushort)(command & ~(PciConfigSpace.CommandIo | PciConfigSpace.CommandMemory)));
        for (int index = 0; index < Count; index++)
        {
            if (ProbeOne(config, index, name) is not { } bar) continue;
            found[index] = bar;
            if (bar.Is64Bit) index++;
        }
        config.Write16(PciConfigSpace.Command, command);
        return found;
    }

    /// <summary>Writes the address into the register or registers.</summary>
    public static void Assign(IPciConfig config, in PciBar bar)
    {
        config.Write32(RegisterOf(bar.Index), (uint)bar.Address);
        if (bar.Is64Bit) config.Write32(RegisterOf(bar.Index + 1), (uint)(bar.Address >> 32));
    }

    /// <summary>True where the register or registers hold the address.</summary>
    public static bool IsAssigned(IPciConfig config, in PciBar bar)
        => (config.Read32(RegisterOf(bar.Index)) & ~FlagsOf(bar.Kind)) == (uint)bar.Address
            && (!bar.Is64Bit || config.Read32(RegisterOf(bar.Index + 1)) == (uint)(bar.Address >> 32));

    private static PciBar? ProbeOne(IPciConfig config, int index, string name)
    {
        (uint low, uint lowMask) = Exchange(config, index);
        if (lowMask == 0) return null;
        PciBarKind kind = (lowMask & PciConfigSpace.BarIsPorts) != 0 ? PciBarKind.Ports : PciBarKind.Memory;
        bool is64Bit = kind == PciBarKind.Memory && (lowMask & TypeMask) == Type64;
        if (is64Bit && index == Count - 1) throw new DeviceFaultException($"{name}: BAR {index} says it has 64 bits, but no register follows");
        (uint high, uint highMask) = is64Bit ? Exchange(config, index + 1) : (0, uint.MaxValue);
        uint flags = FlagsOf(kind);
        ulong size = ~(((ulong)highMask << 32) | (lowMask & ~flags)) + 1;
        // I/O BARs may leave their upper 16 bits unimplemented.
        if (kind == PciBarKind.Ports) size &= 0xFFFF;
        if (!ulong.IsPow2(size)) throw new DeviceFaultException($"{name}: BAR {index} answers the size probe with 0x{highMask:x8}{lowMask:x8}, which is no power of two");
        return new PciBar(index, kind, is64Bit, kind == PciBarKind.Memory && (lowMask & Prefetchable) != 0, ((ulong)high << 32) | (low & ~flags), size);
    }

    private static (uint Before, uint Mask) Exchange(IPciConfig config, int index)
    {
        int register = RegisterOf(index);
        uint before = config.Read32(register);
        config.Write32(register, uint.MaxValue);
        uint mask = config.Read32(register);
        config.Write32(register, before);
        return (before, mask);
    }

    private static int RegisterOf(int index) => PciConfigSpace.Bar0 + (index * sizeof(uint));

    private static uint FlagsOf(PciBarKind kind) => kind == PciBarKind.Memory ? MemoryFlags : IoFlags;
}
