using Xinim.TestKit.Block.Ahci;

namespace Xinim.Faults.Model;

/// <summary>What an AHCI controller and its disk can do wrong [AHCI §6]. [AHCI] = Serial ATA AHCI Specification, revision 1.3.1.</summary>
internal static class AhciFaults
{
    private const int Words = 64;

    // FIS type in the first byte; the places of D2H register and set device bits FISes in the receive area [AHCI §4.2.1].
    private const uint RegisterFis = 0x34, DeviceBitsFis = 0xa1, RegisterAt = 0x40, DeviceBitsAt = 0x58;

    public static IReadOnlyList<ModelFault> All { get; } =
    [
        ModelFault.Of<AhciModelBench>("descriptor-bit", (bench, random) => bench.WorkWords[random.Next(bench.WorkWords.Length)] ^= 1ul << random.Next(64)),
        ModelFault.Of<AhciModelBench>("descriptor-words", Overwrite),
        ModelFault.Of<AhciModelBench>("payload-bit", (bench, random) => bench.ClientMemory[random.Next(bench.ClientMemory.Length)] ^= (byte)(1 << random.Next(8))),
        ModelFault.Of<AhciModelBench>("fis-nonsense", (bench, random) => bench.Port.Inject((uint)random.Next(64) * 4, Next(random), Next(random), Next(random))),
        ModelFault.Of<AhciModelBench>("fis-register", (bench, random) => bench.Port.Inject(RegisterAt, RegisterFis | (Next(random) & 0xffff_ff00), Next(random), Next(random))),
        ModelFault.Of<AhciModelBench>("fis-device-bits", (bench, random) => bench.Port.Inject(DeviceBitsAt, DeviceBitsFis | (Next(random) & 0xffff_ff00), Next(random))),
        ModelFault.Of<AhciModelBench>("done-early", (bench, random) => Lie(bench, random, value => value & Next(random))),
        ModelFault.Of<AhciModelBench>("done-never", (bench, random) => Lie(bench, random, value => value | Next(random))),
        ModelFault.Of<AhciModelBench>("slots-unasked", (bench, random) => bench.Port.Poke(Next(random), Next(random))),
        ModelFault.Of<AhciModelBench>("read-bit", (bench, random) => Flip(bench, random, 1u << random.Next(32))),
        ModelFault.Of<AhciModelBench>("read-nonsense", (bench, random) => bench.Registers.TamperReads(random.Next(1, 20), (_, _) => Next(random))),
        ModelFault.Of<AhciModelBench>("write-lost", (bench, random) => bench.Registers.TamperWrites(random.Next(1, 4), (_, _) => null)),
        ModelFault.Of<AhciModelBench>("write-bit", (bench, random) => bench.Registers.TamperWrites(random.Next(1, 4), (_, value) => value ^ (1u << random.Next(32)))),
        ModelFault.Of<AhciModelBench>("interrupt-storm", (bench, _) => bench.Storms = true),
        ModelFault.Of<AhciModelBench>("interrupt-lost", (bench, random) => Fail(bench, random, AtaFaultKind.LostInterrupt)),
        ModelFault.Of<AhciModelBench>("command-failed", (bench, random) => Fail(bench, random, AtaFaultKind.TaskFile)),
        ModelFault.Of<AhciModelBench>("command-silent", (bench, random) => Fail(bench, random, AtaFaultKind.Silence)),
        ModelFault.Of<AhciModelBench>("command-mute", (bench, random) => Fail(bench, random, AtaFaultKind.Mute)),
        ModelFault.Of<AhciModelBench>("stuck-busy", (bench, random) => Fail(bench, random, AtaFaultKind.StuckBusy)),
        ModelFault.Of<AhciModelBench>("interface-fatal", (bench, random) => Fail(bench, random, AtaFaultKind.InterfaceFatal)),
        ModelFault.Of<AhciModelBench>("host-bus-fatal", (bench, random) => Fail(bench, random, AtaFaultKind.HostBusFatal)),
        ModelFault.Of<AhciModelBench>("held", (bench, _) => bench.Hold()),
        ModelFault.Of<AhciModelBench>("disk-blinks", (bench, _) => Blink(bench)),
        ModelFault.Of<AhciModelBench>("unplugged", (bench, _) => bench.Vanish()),
        ModelFault.AtStartOf<AhciModelBench>("start-read-bit", (bench, random) => bench.Registers.TamperReads(random.Next(1, 50), (_, value) => value ^ (1u << random.Next(32)), random.Next(100))),
        ModelFault.AtStartOf<AhciModelBench>("start-read-nonsense", (bench, random) => bench.Registers.TamperReads(random.Next(1, 50), (_, _) => Next(random), random.Next(100))),
        ModelFault.AtStartOf<AhciModelBench>("start-write-lost", (bench, random) => bench.Registers.TamperWrites(random.Next(1, 20), (_, _) => null, random.Next(40))),
        ModelFault.AtStartOf<AhciModelBench>("start-identity", (bench, random) => bench.Disk.Identify[random.Next(256)] ^= (ushort)(1 << random.Next(16))),
    ];

    private static uint Next(Random random) => (uint)random.NextInt64(1L << 32);

    private static void Overwrite(AhciModelBench bench, Random random)
    {
        for (int i = 0; i < Words; i++) bench.WorkWords[random.Next(bench.WorkWords.Length)] = (ulong)random.NextInt64(long.MinValue, long.MaxValue);
    }

    /// <summary>PxSACT and PxCI of port 0 [AHCI §3.3.13, §3.3.14].</summary>
    private static void Lie(AhciModelBench bench, Random random, Func<uint, uint> change)
        => bench.Registers.TamperReads(random.Next(1, 20), (offset, value) => offset is 0x134 or 0x138 ? change(value) : value);

    private static void Flip(AhciModelBench bench, Random random, uint bit) => bench.Registers.TamperReads(random.Next(1, 20), (_, value) => value ^ bit);

    /// <summary>Some of the next commands.</summary>
    private static void Fail(AhciModelBench bench, Random random, AtaFaultKind kind)
    {
        int left = random.Next(1, 4);
        // ABRT, UNC, IDNF or none that there is [ACS §6].
        byte error = (byte)(1 << random.Next(8));
        bench.Fault = command => left-- > 0 ? new AtaFault(kind, error, command.Lba) : null;
    }

    /// <summary>The disk is pulled out and put in again.</summary>
    private static void Blink(AhciModelBench bench)
    {
        AtaDiskModel disk = bench.Disk;
        bench.Port.Unplug();
        bench.Port.Plug(disk);
    }
}
