namespace Xinim.Vfio.Remote;

/// <summary>A base address register of a device behind a <see cref="RemoteLink"/> (PCI 3.0 §6.2.5.1).</summary>
/// <param name="Index">0–5; of a 64-bit BAR the lower register.</param>
/// <param name="Address">In the model's memory or I/O space; 0 where none is assigned.</param>
/// <param name="Size">Bytes, a power of two.</param>
/// <param name="IsMemory">False for an I/O BAR.</param>
/// <param name="Is64Bit">Two registers make the address.</param>
internal readonly record struct RemoteBar(int Index, ulong Address, ulong Size, bool IsMemory, bool Is64Bit)
{
    public const int Count = 6;
    public const int CommandRegister = 0x04;
    public const ushort IoSpace = 1 << 0;
    public const ushort MemorySpace = 1 << 1;
    public const ushort BusMaster = 1 << 2;
    public const ushort InterruptDisable = 1 << 10;
    private const int FirstRegister = 0x10;
    private const uint IoFlag = 1;
    private const uint MemoryFlags = 0xF;
    private const uint IoFlags = 3;
    private const uint TypeMask = 6;
    private const uint Type64 = 4;

    /// <summary>
    /// Reads addresses and finds sizes by writing all ones, with decoding off meanwhile (PCI 3.0 §6.2.5.1, implementation note). Only while
    /// nobody else uses the device; every register has its old contents afterwards.
    /// </summary>
    /// <returns>By index; null where there is no BAR.</returns>
    /// <exception cref="DeviceFaultException">A size is no power of two.</exception>
    public static RemoteBar?[] Probe(IPciConfig config, string name)
    {
        RemoteBar?[] found = new RemoteBar?[Count];
        ushort command = config.Read16(CommandRegister);
        config.Write16(CommandRegister, (ushort)(command & ~(IoSpace | MemorySpace)));
        for (int index = 0; index < Count; index++)
        {
            if (ProbeOne(config, index, name) is not { } bar) continue;
            found[index] = bar;
            if (bar.Is64Bit) index++;
        }
        config.Write16(CommandRegister, command);
        return found;
    }

    /// <summary>Writes the address into the register or registers.</summary>
    public void Assign(IPciConfig config)
    {
        config.Write32(RegisterOf(Index), (uint)Address);
        if (Is64Bit) config.Write32(RegisterOf(Index + 1), (uint)(Address >> 32));
    }

    /// <summary>True where the register or registers hold <see cref="Address"/>.</summary>
    public bool IsAssigned(IPciConfig config)
        => (config.Read32(RegisterOf(Index)) & ~FlagsOf(IsMemory)) == (uint)Address
            && (!Is64Bit || config.Read32(RegisterOf(Index + 1)) == (uint)(Address >> 32));

    private static RemoteBar? ProbeOne(IPciConfig config, int index, string name)
    {
        (uint low, uint lowMask) = Exchange(config, index);
        if (lowMask == 0) return null;
        bool isMemory = (lowMask & IoFlag) == 0;
        bool is64Bit = isMemory && (lowMask & TypeMask) == Type64;
        if (is64Bit && index == Count - 1) throw new DeviceFaultException($"{name}: BAR {index} says it has 64 bits, but no register follows");
        (uint high, uint highMask) = is64Bit ? Exchange(config, index + 1) : (0, uint.MaxValue);
        uint flags = FlagsOf(isMemory);
        ulong size = ~(((ulong)highMask << 32) | (lowMask & ~flags)) + 1;
        // I/O BARs may leave their upper 16 bits unimplemented.
        if (!isMemory) size &= 0xFFFF;
        if (!ulong.IsPow2(size)) throw new DeviceFaultException($"{name}: BAR {index} answers the size probe with 0x{highMask:x8}{lowMask:x8}, which is no power of two");
        return new RemoteBar(index, ((ulong)high << 32) | (low & ~flags), size, isMemory, is64Bit);
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

    private static int RegisterOf(int index) => FirstRegister + (index * sizeof(uint));

    private static uint FlagsOf(bool isMemory) => isMemory ? MemoryFlags : IoFlags;
}
