using System.Diagnostics;
using Xinim.Vfio.Pci;

namespace Xinim.Vfio.Remote;

/// <summary>Where the owner of a device model puts its BARs: firmware does this on a real machine, the remote machine has none.</summary>
internal static class RemoteBarLayout
{
    /// <summary>Memory BARs lie here; DMA regions never do (<see cref="RemoteMemory"/>), memory would hide them.</summary>
    public const ulong MemoryStart = 0xE000_0000;
    public const ulong MemoryEnd = 0xFE00_0000;
    private const ulong IoStart = 0xC000;
    private const ulong IoEnd = 0x1_0000;
    private const int InterruptLine = 0x3C;
    private const byte Mark = 0xA5;
    private const int Attempts = 3;
    private static readonly TimeSpan FirstResetLimit = TimeSpan.FromMilliseconds(250);

    /// <summary>
    /// Waits until a starting QEMU has reset its machine. It answers requests that lie in the socket already *before* its first reset
    /// (remote_object_machine_done runs inside qdev_machine_creation_done, which resets at its end), as long as each finds the next one
    /// waiting; the reset then clears configuration space. So the first request of all leaves a mark in a register that the reset clears, and
    /// pauses follow in which the socket is empty. Where the mark stays for 250 ms, the reset was over before that request.
    /// </summary>
    /// <param name="link">Nothing was sent over it yet.</param>
    /// <param name="startTimeout">Until the first answer.</param>
    public static void AwaitFirstReset(RemoteLink link, TimeSpan startTimeout)
    {
        link.WriteConfig(InterruptLine, sizeof(byte), Mark, startTimeout);
        long start = Stopwatch.GetTimestamp();
        do Thread.Sleep(1);
        while (link.ReadConfig(InterruptLine, sizeof(byte)) == Mark && Stopwatch.GetElapsedTime(start) < FirstResetLimit);
        link.WriteConfig(InterruptLine, sizeof(byte), 0);
    }

    /// <summary>Finds, assigns and enables every BAR, and looks whether it stayed.</summary>
    /// <exception cref="DeviceFaultException">The BARs do not fit, or do not keep their addresses.</exception>
    public static PciBar[] Assign(RemoteConfig config, string name)
    {
        for (int attempt = 0; attempt < Attempts; attempt++)
        {
            PciBar[] bars = Place(PciBarRegisters.Probe(config, name), name);
            Restore(config, bars);
            if (Holds(config, bars)) return bars;
        }
        throw new DeviceFaultException($"{name}: the BARs do not keep the addresses that are written to them");
    }

    /// <summary>Writes all addresses, then turns decoding on and everything else in the command register off.</summary>
    public static void Restore(RemoteConfig config, PciBar[] bars)
    {
        config.Write16(PciConfigSpace.Command, 0);
        foreach (PciBar bar in bars) PciBarRegisters.Assign(config, bar);
        config.Write16(PciConfigSpace.Command, PciConfigSpace.CommandIo | PciConfigSpace.CommandMemory);
    }

    private static bool Holds(RemoteConfig config, PciBar[] bars)
        => bars.All(bar => PciBarRegisters.IsAssigned(config, bar))
            && (config.Read16(PciConfigSpace.Command) & PciConfigSpace.CommandMemory) != 0;

    private static PciBar[] Place(PciBar?[] found, string name)
    {
        ulong memory = MemoryStart;
        ulong io = IoStart;
        List<PciBar> placed = [];
        // Each BAR is aligned to its size; the largest first leaves no holes.
        foreach (PciBar bar in found.OfType<PciBar>().OrderByDescending(bar => bar.Size))
        {
            ref ulong next = ref bar.Kind == PciBarKind.Memory ? ref memory : ref io;
            ulong address = (next + bar.Size - 1) & ~(bar.Size - 1);
            ulong end = bar.Kind == PciBarKind.Memory ? MemoryEnd : IoEnd;
            if (address < next || address >= end || bar.Size > end - address)
                throw new DeviceFaultException($"{name}: BAR {bar.Index} of {bar.Size} bytes does not fit below 0x{end:x}");
            placed.Add(bar with { Address = address });
            next = address + bar.Size;
        }
        return [.. placed];
    }
}
