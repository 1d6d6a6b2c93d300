using Xinim.TestKit.Virtio;

namespace Xinim.Faults.Model;

/// <summary>What a virtio device can do wrong [V §2.7, §2.8]. [V] = Virtual I/O Device (VIRTIO) Version 1.2.</summary>
internal static class VirtioFaults
{
    /// <summary>Words of a burst: few of them strike what is used.</summary>
    private const int Words = 64;

    /// <summary>What it says that is not so, whatever its type.</summary>
    public static IReadOnlyList<ModelFault> Lies { get; } =
    [
        ModelFault.Of<VirtioModelBench>("descriptor-bit", (bench, random) => bench.Ambush = () => bench.WorkWords[random.Next(bench.WorkWords.Length)] ^= 1ul << random.Next(64)),
        ModelFault.Of<VirtioModelBench>("descriptor-words", (bench, random) => bench.Ambush = () => Overwrite(bench, random)),
        ModelFault.Of<VirtioModelBench>("used-unknown", (bench, random) => Queue(bench, random)?.Forge((uint)random.Next(1 << 16), (uint)random.Next(1 << 16))),
        ModelFault.Of<VirtioModelBench>("used-within", (bench, random) => Queue(bench, random)?.Forge((uint)random.Next((int)VirtioModelBench.Entries), (uint)random.Next(2000))),
        ModelFault.Of<VirtioModelBench>("used-again", (bench, random) => Queue(bench, random)?.Forge(bench.LastUsed, (uint)random.Next(2000))),
        ModelFault.Of<VirtioModelBench>("used-jump", (bench, random) => Queue(bench, random)?.Forge(bench.LastUsed, 0, random.Next(2, 1 << 15))),
        ModelFault.Of<VirtioModelBench>("used-length", (bench, random) => bench.Written = random.Next(3) switch { 0 => _ => 0, 1 => _ => (uint)random.NextInt64(1L << 32), _ => written => (uint)random.Next((int)written + 1) }),
        ModelFault.Of<VirtioModelBench>("payload-bit", (bench, random) => bench.Memory[random.Next(bench.Memory.Length)] ^= (byte)(1 << random.Next(8))),
        ModelFault.AtStartOf<VirtioModelBench>("start-broken", (bench, random) => bench.Model.Misbehaviour = (VirtioMisbehaviour)(1 << random.Next(9))),
        ModelFault.AtStartOf<VirtioModelBench>("start-config", ChangeConfig),
    ];

    /// <summary>What it does not do, or does too often: nothing of it is untrue.</summary>
    public static IReadOnlyList<ModelFault> Lapses { get; } =
    [
        ModelFault.Of<VirtioModelBench>("silent", (bench, _) => bench.Silent = true),
        ModelFault.Of<VirtioModelBench>("interrupt-lost", (bench, _) => bench.LosesInterrupts = true),
        ModelFault.Of<VirtioModelBench>("interrupt-storm", (bench, _) => bench.Storms = true),
        ModelFault.Of<VirtioModelBench>("needs-reset", (bench, _) => bench.Model.FailNow()),
        ModelFault.Of<VirtioModelBench>("config", ChangeConfig),
        ModelFault.Of<VirtioModelBench>("config-restless", (bench, _) => bench.Model.Misbehaviour = VirtioMisbehaviour.RestlessConfig),
    ];

    /// <summary>Whatever its type.</summary>
    public static IReadOnlyList<ModelFault> All { get; } = [.. Lies, .. Lapses];

    /// <summary>Of NICs [V §5.1.6].</summary>
    public static IReadOnlyList<ModelFault> Net { get; } =
    [
        ModelFault.Of<VirtioNetModelBench>("header-nonsense", (bench, random) => bench.Header = header => random.NextBytes(header)),
        ModelFault.Of<VirtioNetModelBench>("header-bit", (bench, random) => bench.Header = header => header[random.Next(header.Length)] ^= (byte)(1 << random.Next(8))),
        ModelFault.AtStartOf<VirtioNetModelBench>("start-silent", (bench, _) => bench.Silent = true),
    ];

    /// <summary>Of disks [V §5.2.6].</summary>
    public static IReadOnlyList<ModelFault> Blk { get; } =
    [
        ModelFault.Of<VirtioBlkModelBench>("status-nonsense", (bench, random) => bench.Answer = _ => (byte)random.Next(256)),
        ModelFault.Of<VirtioBlkModelBench>("status-error", (bench, random) => bench.Answer = _ => (byte)random.Next(1, 3)),
        ModelFault.Of<VirtioBlkModelBench>("write-lost", (bench, _) => bench.LosesWrites = true),
    ];

    private static DeviceQueue? Queue(VirtioModelBench bench, Random random) => bench.Model.Queue(bench.Queues[random.Next(bench.Queues.Count)]);

    internal static void Overwrite(VirtioModelBench bench, Random random)
    {
        for (int i = 0; i < Words; i++) bench.WorkWords[random.Next(bench.WorkWords.Length)] = (ulong)random.NextInt64(long.MinValue, long.MaxValue);
    }

    private static void ChangeConfig(VirtioModelBench bench, Random random)
    {
        byte[] bytes = new byte[random.Next(1, 9)];
        random.NextBytes(bytes);
        bench.Model.ChangeConfig(random.Next(bench.Model.ConfigLength - bytes.Length + 1), bytes);
    }
}
