using Xinim.TestKit.E1000;

namespace Xinim.Faults.Model;

/// <summary>A kind of fault of a device model.</summary>
/// <param name="Kind">Its name.</param>
/// <param name="Inject">Into a bench where frames have arrived that the driver has not looked at.</param>
/// <param name="Weight">How often it is chosen beside the others: bring-up has waits of up to half a second.</param>
/// <param name="AtStart">The fault is there before a driver brings the device up.</param>
internal sealed record ModelFault(string Kind, Action<ModelBench, Random> Inject, int Weight = 40, bool AtStart = false)
{
    private const uint Rdh = 0x2810, Rdt = 0x2818, Tdh = 0x3810, Tdt = 0x3818, Icr = 0x00c0;

    public static IReadOnlyList<ModelFault> All { get; } =
    [
        new("descriptor-bit", (bench, random) => bench.WorkWords[random.Next(bench.WorkWords.Length)] ^= 1ul << random.Next(64)),
        new("descriptor-word", (bench, random) => bench.WorkWords[random.Next(bench.WorkWords.Length)] = (ulong)random.NextInt64(long.MinValue, long.MaxValue)),
        new("result-bit", (bench, random) => Unseen(bench, random) ^= 1ul << random.Next(64)),
        new("result-word", (bench, random) => Unseen(bench, random) = (ulong)random.NextInt64(long.MinValue, long.MaxValue)),
        new("done-everywhere", (bench, _) => bench.Model.Misbehaviour = E1000Misbehaviour.DoneEverywhere),
        new("never-done", (bench, _) => bench.Model.Misbehaviour = E1000Misbehaviour.NoTransmitStatus),
        new("wrong-length", (bench, random) => bench.Model.Misbehaviour = random.Next(2) == 0 ? E1000Misbehaviour.LongLength : E1000Misbehaviour.EndlessFrame),
        new("random-status", (bench, _) => bench.Model.Misbehaviour = E1000Misbehaviour.RandomStatus),
        new("damaged-frames", (bench, _) => bench.Model.Misbehaviour = E1000Misbehaviour.DamagedFrames),
        new("payload-bit", (bench, random) => bench.ReceivePool[random.Next(bench.ReceivePool.Length)] ^= (byte)(1 << random.Next(8))),
        new("index", (bench, random) => bench.Model.Poke(random.Next(4) switch { 0 => Rdh, 1 => Rdt, 2 => Tdh, _ => Tdt }, (uint)random.Next((int)ModelBench.Descriptors))),
        new("read-bit", (bench, random) => Flip(bench, random, 1u << random.Next(32))),
        new("read-nonsense", (bench, random) => bench.Registers.TamperReads(random.Next(1, 20), (_, _) => (uint)random.NextInt64(1L << 32))),
        new("write-lost", (bench, random) => bench.Registers.TamperWrites(random.Next(1, 4), (_, _) => null)),
        new("write-bit", (bench, random) => bench.Registers.TamperWrites(random.Next(1, 4), (_, value) => value ^ (1u << random.Next(32)))),
        new("interrupt-lost", (bench, _) => bench.Model.Poke(Icr, 0)),
        new("interrupt-storm", (bench, _) => bench.Model.Misbehaviour = E1000Misbehaviour.InterruptStorm),
        new("start-read-bit", (bench, random) => Later(random, skip => bench.Registers.TamperReads(random.Next(1, 50), (_, value) => value ^ (1u << random.Next(32)), skip)), 1, AtStart: true),
        new("start-read-nonsense", (bench, random) => Later(random, skip => bench.Registers.TamperReads(random.Next(1, 50), (_, _) => (uint)random.NextInt64(1L << 32), skip)), 1, AtStart: true),
        new("start-stuck-bit", (bench, random) => Stick(bench, 1u << random.Next(32), random.Next(2) == 0), 1, AtStart: true),
        new("start-write-lost", (bench, random) => Later(random, skip => bench.Registers.TamperWrites(random.Next(1, 20), (_, _) => null, skip)), 1, AtStart: true),
        new("start-write-bit", (bench, random) => Later(random, skip => bench.Registers.TamperWrites(random.Next(1, 20), (_, value) => value ^ (1u << random.Next(32)), skip)), 1, AtStart: true),
        new("start-broken", (bench, random) => bench.Model.Misbehaviour = (E1000Misbehaviour)(1 << random.Next(4)), 1, AtStart: true),
        new("unplugged", (bench, _) => bench.Model.Misbehaviour = E1000Misbehaviour.Removed),
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
