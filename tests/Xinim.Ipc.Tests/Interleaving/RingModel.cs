namespace Xinim.Ipc.Tests.Interleaving;

/// <summary>A step of the protocol that a test leaves out or moves, to see that the explorer notices.</summary>
internal enum Mutation
{
    None,

    /// <summary>The index is published by a plain store: <c>MemoryOrder.PublishIndex</c> without release.</summary>
    NoRelease,

    /// <summary><c>Doorbell.Ring</c> without its fence.</summary>
    NoFenceInRing,

    /// <summary><c>Doorbell.PrepareToSleep</c> without its fence.</summary>
    NoFenceInPrepare,

    /// <summary>The sleeper does not look at the ring again after it set its flag.</summary>
    NoSecondLook,

    /// <summary>The element is loaded before the index: <c>MemoryOrder.ObserveIndex</c> without acquire.</summary>
    NoAcquire,

    /// <summary>The sleeper takes the event's count between its last look at the ring and its sleep.</summary>
    DrainAfterLook,

    /// <summary>The ringer clears the flag and does not signal.</summary>
    NoSignal,
}

/// <summary>How the two users of a doorbell wake up.</summary>
internal enum Sleeper
{
    /// <summary>A client polls: Awake, then TakeSignal, whether it slept or not.</summary>
    Poll,

    /// <summary>A driver's event loop: its handler calls TakeSignal when the event woke it, Awake follows.</summary>
    Loop,

    /// <summary>The same loop, woken once by something else, such as an interrupt: nothing is taken.</summary>
    LoopWithInterrupt,
}

/// <summary>
/// <c>RingProducer</c> (thread 0) and <c>RingConsumer</c> (thread 1), each sleeping behind a <c>Doorbell</c> while it has nothing to do,
/// one shared access a step. Both ends are one program with the roles of the words swapped. Elements have two words, so that a torn one
/// shows; indices are bytes and wrap in the middle of the run. <see cref="TranscriptionTests"/> holds the real code to what is modelled here.
/// </summary>
/// <param name="elements">How many go through the ring.</param>
/// <param name="capacity">Slots, a power of two.</param>
/// <param name="batch">Elements a publication at most.</param>
/// <param name="sleeper">In which order a sleeper wakes up.</param>
/// <param name="mutation">What is wrong.</param>
internal sealed class RingModel(int elements, int capacity, int batch, Sleeper sleeper = Sleeper.Poll, Mutation mutation = Mutation.None) : IProgram
{
    private const byte FirstIndex = 254;

    // Shared words. Each pair belongs to (producer, consumer); two words a slot follow.
    private const int Index = 0, WakeMe = 2, Event = 4, Slots = 6;

    // Registers: own index, cached peer index, elements taken from the batch, element words loaded.
    private const int Own = 0, Cached = 1, Filled = 2, First = 3, Second = 4, Interrupts = 5;

    private enum At
    {
        Look, SetFlag, PrepareFence, SecondLook, Wait, ClearFlag, Drain, FirstWord, SecondWord, Publish, RingFence, CheckFlag, TakeFlag, Signal, Ended,

        // Of mutations only.
        EarlyLoad, LateDrain,
    }

    public Machine Start()
    {
        Machine machine = new(Slots + (2 * capacity), registers: 6);
        for (int thread = 0; thread < 2; thread++)
            machine.Memory[Index + thread] = machine.Registers[thread][Own] = machine.Registers[thread][Cached] = FirstIndex;
        return machine;
    }

    public bool IsDone(Machine machine) => machine.Counter is [(int)At.Ended, (int)At.Ended];

    public string Describe(Machine machine, int thread) => $"{(At)machine.Counter[thread]} [{string.Join(' ', machine.Registers[thread])}]";

    public bool Step(Machine machine, int thread)
    {
        At? next = (At)machine.Counter[thread] switch
        {
            At.Look => Look(machine, thread, otherwise: At.SetFlag),
            At.SetFlag => Store(machine, thread, WakeMe + thread, 1, At.PrepareFence),
            At.PrepareFence => Fence(machine, thread, Mutation.NoFenceInPrepare, At.SecondLook),
            At.SecondLook => mutation == Mutation.NoSecondLook ? At.Wait : Look(machine, thread, otherwise: BeforeWait, found: At.ClearFlag),
            At.Wait => machine.Memory[Event + thread] == 0 ? null : sleeper == Sleeper.Poll ? At.ClearFlag : At.Drain,
            At.ClearFlag => Store(machine, thread, WakeMe + thread, 0, sleeper == Sleeper.Poll ? At.Drain : BeforeLook(thread)),
            At.Drain => Drain(machine, thread, sleeper == Sleeper.Poll ? BeforeLook(thread) : At.ClearFlag),
            At.FirstWord => Transfer(machine, thread, First),
            At.SecondWord => Transfer(machine, thread, Second),
            At.Publish => Publish(machine, thread),
            At.RingFence => Fence(machine, thread, Mutation.NoFenceInRing, At.CheckFlag),
            At.CheckFlag => machine.Load(thread, WakeMe + Peer(thread)) != 0 ? At.TakeFlag : AfterBatch(machine, thread),
            At.TakeFlag => TakeFlag(machine, thread),
            At.Signal => Signal(machine, thread),
            At.EarlyLoad => EarlyLoad(machine, thread),
            At.LateDrain => Drain(machine, thread, At.Wait),
            _ => null,
        };
        if (next is null) return false;
        machine.Counter[thread] = (int)next;
        return true;
    }

    public bool Interfere(Machine machine, int thread)
    {
        ref byte interrupts = ref machine.Registers[thread][Interrupts];
        if (sleeper != Sleeper.LoopWithInterrupt || interrupts > 0 || machine.Counter[thread] != (int)At.Wait) return false;
        interrupts = 1;
        machine.Counter[thread] = (int)At.ClearFlag;
        return true;
    }

    private At BeforeWait => mutation == Mutation.DrainAfterLook ? At.LateDrain : At.Wait;

    private At BeforeLook(int thread) => mutation == Mutation.NoAcquire && thread == 1 ? At.EarlyLoad : At.Look;

    private static int Peer(int thread) => 1 - thread;

    /// <summary>Reserve and Peek: the peer's index is loaded only when the cached one does not do.</summary>
    private At Look(Machine machine, int thread, At otherwise, At found = At.FirstWord)
    {
        byte[] registers = machine.Registers[thread];
        if (Available(registers, thread) < Wanted(registers)) registers[Cached] = machine.Load(thread, Index + Peer(thread));
        int available = Available(registers, thread);
        if (available > capacity) throw new ViolationException($"thread {thread} sees the impossible index {registers[Cached]}");
        if (available == 0) return otherwise;
        registers[Filled] = 0;
        return found;
    }

    private int Available(byte[] registers, int thread)
    {
        byte used = thread == 0 ? (byte)(registers[Own] - registers[Cached]) : (byte)(registers[Cached] - registers[Own]);
        return thread == 0 && used <= capacity ? capacity - used : used;
    }

    private int Wanted(byte[] registers) => Math.Min(batch, elements - Done(registers));

    private static int Done(byte[] registers) => (byte)(registers[Own] - FirstIndex);

    private static At Store(Machine machine, int thread, int word, byte value, At next)
    {
        machine.Store(thread, word, value);
        return next;
    }

    private At? Fence(Machine machine, int thread, Mutation without, At next) => mutation == without || machine.Fenced(thread) ? next : null;

    private static At Drain(Machine machine, int thread, At next)
    {
        machine.Memory[Event + thread] = 0;
        return next;
    }

    /// <summary>One word of the element: stored by the producer, loaded and checked by the consumer.</summary>
    private At Transfer(Machine machine, int thread, int half)
    {
        byte[] registers = machine.Registers[thread];
        byte expected = (byte)(Done(registers) + registers[Filled] + 1);
        if (thread == 0) machine.Store(thread, WordOf(registers, half), expected);
        else if (mutation != Mutation.NoAcquire) registers[half] = machine.Load(thread, WordOf(registers, half));
        if (thread == 1 && registers[half] != expected) throw new ViolationException($"element {expected} was read as {registers[half]}");
        if (half == First) return At.SecondWord;
        registers[First] = registers[Second] = 0;
        registers[Filled]++;
        return registers[Filled] < Math.Min(Wanted(registers), Available(registers, thread)) ? At.FirstWord : At.Publish;
    }

    private At EarlyLoad(Machine machine, int thread)
    {
        byte[] registers = machine.Registers[thread];
        registers[First] = machine.Load(thread, WordOf(registers, First));
        registers[Second] = machine.Load(thread, WordOf(registers, Second));
        return At.Look;
    }

    private int WordOf(byte[] registers, int half) => Slots + (2 * ((registers[Own] + registers[Filled]) & (capacity - 1))) + (half - First);

    private At Publish(Machine machine, int thread)
    {
        byte[] registers = machine.Registers[thread];
        registers[Own] += registers[Filled];
        registers[Filled] = 0;
        if (mutation == Mutation.NoRelease) machine.Store(thread, Index + thread, registers[Own]);
        else machine.StoreRelease(thread, Index + thread, registers[Own]);
        return At.RingFence;
    }

    private At? TakeFlag(Machine machine, int thread)
    {
        if (!machine.Fenced(thread)) return null;
        byte flag = machine.Memory[WakeMe + Peer(thread)];
        machine.Memory[WakeMe + Peer(thread)] = 0;
        return flag == 0 ? AfterBatch(machine, thread) : At.Signal;
    }

    private At Signal(Machine machine, int thread)
    {
        if (mutation != Mutation.NoSignal) machine.Memory[Event + Peer(thread)] = 1;
        return AfterBatch(machine, thread);
    }

    private At AfterBatch(Machine machine, int thread) => Done(machine.Registers[thread]) == elements ? At.Ended : BeforeLook(thread);
}
