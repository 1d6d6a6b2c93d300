namespace Xinim.Faults.Model;

/// <summary>
/// What a console device can do wrong besides [V §5.3.6.2]: say nonsense of its ports, to a driver that may die of it and whose streams of bytes
/// stay whole, since no byte was lied about. [V] = Virtual I/O Device (VIRTIO) Version 1.2.
/// </summary>
internal static class ConsoleFaults
{
    /// <summary>Bytes of a control buffer.</summary>
    private const int MostBytes = 128;

    /// <summary>Control messages that come at once: more than the driver has buffers for.</summary>
    private const int Storm = 300;

    public static IReadOnlyList<ModelFault> All { get; } =
    [
        Truthful("control-unknown-port", (bench, random) => bench.Say(UnknownPort(random), (ConsoleWord)random.Next(1, 8), random.Next(2))),
        Truthful("control-unknown-event", (bench, random) => bench.Say(bench.Port, (ConsoleWord)random.Next(8, 1 << 16), random.Next(1 << 16), Bytes(random, MostBytes - 8))),
        Truthful("control-driver-event", (bench, random) => bench.Say(bench.Port, random.Next(2) == 0 ? ConsoleWord.DeviceReady : ConsoleWord.PortReady, random.Next(2))),
        Truthful("control-random", (bench, random) => bench.Say((uint)random.Next(2 * (int)VirtioConsoleModelBench.MaxPorts), (ConsoleWord)random.Next(10), random.Next(3), Bytes(random, MostBytes - 8))),
        Truthful("control-noise", (bench, random) => bench.Say(Bytes(random, 2 * MostBytes))),
        Truthful("control-short", (bench, random) => bench.Say(Bytes(random, 8))),
        Truthful("control-name", (bench, random) => bench.Say(bench.Port, ConsoleWord.PortName, 1, Bytes(random, MostBytes - 8))),
        Truthful("control-resize-short", (bench, random) => bench.Say(bench.Port, ConsoleWord.Resize, 0, Bytes(random, 4))),
        Truthful("control-resize-storm", (bench, random) => Repeat(Storm, _ => bench.Say(bench.Port, ConsoleWord.Resize, 0, Exactly(random, 4)))),
        Truthful("control-name-storm", (bench, random) => Repeat(Storm, _ => bench.Say(bench.Port, ConsoleWord.PortName, 1, Exactly(random, 16)))),
        Truthful("control-open-storm", (bench, random) => Repeat(random.Next(1, Storm), i => bench.Say(bench.Port, ConsoleWord.PortOpen, i % 3))),
        Truthful("control-add-twice", (bench, random) => Repeat(random.Next(1, Storm), _ => bench.Say(bench.Port, ConsoleWord.DeviceAdd))),
        Truthful("control-add-all", (bench, _) => Repeat((int)VirtioConsoleModelBench.MaxPorts, i => bench.Say((uint)i, ConsoleWord.DeviceAdd))),
        Truthful("control-console", (bench, random) => Repeat(random.Next(1, Storm), _ => bench.Say(bench.Port, ConsoleWord.ConsolePort, 1))),
        Truthful("control-deaf", (bench, random) => Deaf(bench, random.Next(1, Storm))),
        Truthful("port-removed", (bench, _) => bench.Say(bench.Port, ConsoleWord.DeviceRemove)),
        Truthful("port-blinks", (bench, random) => Blink(bench, random.Next(1, 6))),
        Truthful("driver-dies", (bench, _) => bench.DieAtWork()),
        ModelFault.Of<VirtioConsoleModelBench>("driver-dies-raving", Rave),
        ModelFault.AtStartOf<VirtioConsoleModelBench>("start-silent", (bench, _) => bench.Silent = true),
        ModelFault.AtStartOf<VirtioConsoleModelBench>("start-deaf", (bench, _) => bench.Deaf = true),
    ];

    private static ModelFault Truthful(string kind, Action<VirtioConsoleModelBench, Random> inject) => ModelFault.Of(kind, inject) with { MayLie = false };

    /// <summary>One that could be and is not, or one that cannot be.</summary>
    private static uint UnknownPort(Random random) => random.Next(2) == 0 ? (uint)random.Next(2, (int)VirtioConsoleModelBench.MaxPorts) : (uint)random.NextInt64(VirtioConsoleModelBench.MaxPorts, 1L << 32);

    private static byte[] Bytes(Random random, int below) => Exactly(random, random.Next(below));

    private static byte[] Exactly(Random random, int count)
    {
        byte[] bytes = new byte[count];
        random.NextBytes(bytes);
        return bytes;
    }

    private static void Repeat(int count, Action<int> act)
    {
        for (int i = 0; i < count; i++) act(i);
    }

    /// <summary>A port comes and goes, and the device does not take what the driver says to it.</summary>
    private static void Deaf(VirtioConsoleModelBench bench, int count)
    {
        bench.Deaf = true;
        Repeat(count, i => bench.Say(bench.Port + 1, i % 2 == 0 ? ConsoleWord.DeviceAdd : ConsoleWord.DeviceRemove));
    }

    private static void Blink(VirtioConsoleModelBench bench, int count) => Repeat(count, _ =>
    {
        bench.Say(bench.Port, ConsoleWord.DeviceRemove);
        bench.Say(bench.Port, ConsoleWord.DeviceAdd);
    });

    /// <summary>A driver that dies of corrupted memory has left nonsense to its successor, most of it where it notes how far it was.</summary>
    private static void Rave(VirtioConsoleModelBench bench, Random random)
    {
        VirtioFaults.Overwrite(bench, random);
        // The marks of both halves of the work region, and the notes of the first ports in one of them.
        for (int i = random.Next(1, 20); i > 0; i--) bench.WorkWords[random.Next(2, 8 + 32)] = random.Next(2) == 0 ? (ulong)random.NextInt64(long.MinValue, long.MaxValue) : (ulong)random.Next(1 << 16);
        bench.Die();
    }
}
