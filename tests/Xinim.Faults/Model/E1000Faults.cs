using Xinim.TestKit.E1000;

namespace Xinim.Faults.Model;

/// <summary>What an 8254x or an 82574 can do wrong.</summary>
internal static class E1000Faults
{
    private const uint Rdh = 0x2810, Rdt = 0x2818, Tdh = 0x3810, Tdt = 0x3818, Icr = 0x00c0;

    public static IReadOnlyList<ModelFault> All { get; } =
    [
        ModelFault.Of<ModelBench>("descriptor-bit", (bench, random) => bench.WorkWords[random.Next(bench.WorkWords.Length)] ^= 1ul << random.Next(64)),
        ModelFault.Of<ModelBench>("descriptor-word", (bench, random) => bench.WorkWords[random.Next(bench.WorkWords.Length)] = (ulong)random.NextInt64(long.MinValue, long.MaxValue)),
        ModelFault.Of<ModelBench>("result-bit", (bench, random) => Unseen(bench, random) ^= 1ul << random.Next(64)),
        ModelFault.Of<ModelBench>("result-word", (bench, random) => Unseen(bench, random) = (ulong)random.NextInt64(long.MinValue, long.MaxValue)),
        ModelFault.Of<ModelBench>("done-everywhere", (bench, _) => bench.Model.Misbehaviour = E1000Misbehaviour.DoneEverywhere),
        ModelFault.Of<ModelBench>("never-done", (bench, _) => bench.Model.Misbehaviour = E1000Misbehaviour.NoTransmitStatus),
        ModelFault.Of<ModelBench>("wrong-length", (bench, random) => bench.Model.Misbehaviour = random.Next(2) == 0 ? E1000Misbehaviour.LongLength : E1000Misbehaviour.EndlessFrame),
        ModelFault.Of<ModelBench>("random-status", (bench, _) => bench.Model.Misbehaviour = E1000Misbehaviour.RandomStatus),
        ModelFault.Of<ModelBench>("damaged-frames", (bench, _) => bench.Model.Misbehaviour = E1000Misbehaviour.DamagedFrames),
        ModelFault.Of<ModelBench>("payload-bit", (bench, random) => bench.ReceivePool[random.Next(bench.ReceivePool.Length)] ^= (byte)(1 << random.Next(8))),
        ModelFault.Of<ModelBench>("index", (bench, random) => bench.Model.Poke(random.Next(4) switch { 0 => Rdh, 1 => Rdt, 2 => Tdh, _ => Tdt }, (uint)random.Next((int)ModelBench.Descriptors))),
        ModelFault.Of<ModelBench>("read-bit", (bench, random) => Flip(bench, random, 1u << random.Next(32))),
        ModelFault.Of<ModelBench>("read-nonsense", (bench, random) => bench.Registers.TamperReads(random.Next(1, 20), (_, _) => (uint)random.NextInt64(1L << 32))),
        ModelFault.Of<ModelBench>("write-lost", (bench, random) => bench.Registers.TamperWrites(random.Next(1, 4), (_, _) => null)),
        ModelFault.Of<ModelBench>("write-bit", (bench, random) => bench.Registers.TamperWrites(random.Next(1, 4), (_, value) => value ^ (1u << random.Next(32)))),
        ModelFault.Of<ModelBench>("interrupt-lost", (bench, _) => bench.Model.Poke(Icr, 0)),
        ModelFault.Of<ModelBench>("interrupt-storm", (bench, _) => bench.Model.Misbehaviour = E1000Misbehaviour.InterruptStorm),
        ModelFault.AtStartOf<ModelBench>("start-read-bit", (bench, random) => Later(random, skip => bench.Registers.TamperReads(random.Next(1, 50), (_, value) => value ^ (1u << random.Next(32)), skip))),
        ModelFault.AtStartOf<ModelBench>("start-read-nonsense", (bench, random) => Later(random, skip => bench.Registers.TamperReads(random.Next(1, 50), (_, _) => (uint)random.NextInt64(1L << 32), skip))),
        ModelFault.AtStartOf<ModelBench>("start-stuck-bit", (bench, random) => Stick(bench, 1u << random.Next(32), random.Next(2) == 0)),
        ModelFault.AtStartOf<ModelBench>("start-write-lost", (bench, random) => Later(random, skip => bench.Registers.TamperWrites(random.Next(1, 20), (_, _) => null, skip))),
        ModelFault.AtStartOf<ModelBench>("start-write-bit", (bench, random) => Later(random, skip => bench.Registers.TamperWrites(random.Next(1, 20), (_, value) => value ^ (1u << random.Next(32)), skip))),
        ModelFault.AtStartOf<ModelBench>("start-broken", (bench, random) => bench.Model.Misbehaviour = (E1000Misbehaviour)(1 << random.Next(4))),
        ModelFault.Of<ModelBench>("unplugged", (bench, _) => bench.Model.Misbehaviour = E1000Misbehaviour.Removed),
    ];

    /// <summary>A finished receive descriptor that the driver will look at next, or soon.</summary>
    private static ref ulong Unseen(ModelBench bench, Random random)
        => ref bench.ReceiveResult(bench.Model.Peek(Rdh) + ModelBench.Descriptors - 1 - (uint)random.Next(3));

    private static void Stick(ModelBench bench, uint bit, bool set)
        => bench.Registers.TamperReads(int.MaxValue, (_, value) => set ? value | bit : value & ~bit);

    // Bring-up makes some 800 accesses; most are tables.
    private static void Later(Random random, Action<int> tamper) => tamper(random.Next(random.Next(2) == 0 ? 40 : 900));

    private static void Flip(ModelBench bench, Random random, uint bit) => bench.Registers.TamperReads(random.Next(1, 20), (_, value) => value ^ bit);
}
