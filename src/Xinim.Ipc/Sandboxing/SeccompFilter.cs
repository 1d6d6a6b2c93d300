using System.Runtime.InteropServices;

namespace Xinim.Ipc.Sandboxing;

/// <summary>
/// Writes the BPF program that decides over each system call (seccomp(2)): what is not allowed fails with EPERM, and code that is not plain
/// x86-64 (32-bit entry, x32 numbers) ends the process. EPERM and not death, because the C library and the runtime try calls at their start
/// that they can do without, and because a driver that is refused something lives to say what.
/// </summary>
internal sealed class SeccompFilter
{
    public const uint Allowed = 0x7fff_0000;

    /// <summary>The holder of the listener decides; ENOSYS where there is none any more.</summary>
    public const uint Ask = 0x7fc0_0000;

    private const uint KillProcess = 0x8000_0000;
    private const uint ErrorAction = 0x0005_0000;
    private const uint AUDIT_ARCH_X86_64 = 0xC000_003E;
    private const uint X32Bit = 0x4000_0000;

    // struct seccomp_data {int nr; __u32 arch; __u64 instruction_pointer; __u64 args[6];}
    private const int NumberOffset = 0;
    private const int ArchitectureOffset = 4;
    private const int ArgumentOffset = 16;
    private const int EPERM = 1;
    private readonly List<Instruction> _code =
    [
        Load(ArchitectureOffset), new(Operation.JumpIfEqual, 1, 0, AUDIT_ARCH_X86_64), Return(KillProcess),
        Load(NumberOffset), new(Operation.JumpIfNotLess, 0, 1, X32Bit), Return(KillProcess),
    ];

    /// <summary>BPF instructions, linux/bpf_common.h: class, size or condition, source.</summary>
    private enum Operation : ushort
    {
        Return = 0x06,
        JumpIfEqual = 0x15,
        Load = 0x20,
        JumpIfGreater = 0x25,
        JumpIfNotLess = 0x35,
        And = 0x54,
    }

    /// <summary>The action that lets a call fail with an error of choice.</summary>
    public static uint Fail(int error) => ErrorAction | (uint)error;

    /// <summary>Calls that are allowed whatever their arguments.</summary>
    public SeccompFilter Allow(params ReadOnlySpan<int> numbers)
    {
        foreach (int number in numbers) When(number, Allowed);
        return this;
    }

    /// <summary>A call that is allowed if all conditions hold; several rules for one number: if those of one rule hold.</summary>
    public SeccompFilter Allow(int number, params ReadOnlySpan<Condition> conditions) => When(number, Allowed, conditions);

    /// <summary>What happens to a call for which all conditions hold, and no rule before.</summary>
    public SeccompFilter When(int number, uint action, params ReadOnlySpan<Condition> conditions)
    {
        List<Instruction> tests = [];
        foreach (Condition condition in conditions)
        {
            tests.Add(Load(ArgumentOffset + (condition.Word * sizeof(uint))));
            tests.Add(new Instruction(Operation.And, 0, 0, condition.Mask));
            tests.Add(new Instruction(Operation.JumpIfNotLess, 0, 0, condition.Least));
            tests.Add(new Instruction(Operation.JumpIfGreater, 0, 0, condition.Most));
        }

        // Jumps count the instructions in between; a rule that does not apply ends behind its last one, where the number is loaded again.
        int length = tests.Count + 1 + (tests.Count > 0 ? 1 : 0);
        _code.Add(new Instruction(Operation.JumpIfEqual, 0, checked((byte)length), (uint)number));
        for (int i = 0; i < tests.Count; i++) _code.Add(tests[i].ElseSkip(tests.Count - i));
        _code.Add(Return(action));
        if (tests.Count > 0) _code.Add(Load(NumberOffset));
        return this;
    }

    /// <summary>The program as the kernel takes it: array of struct sock_filter.</summary>
    public byte[] ToBytes()
    {
        Instruction[] all = [.. _code, Return(Fail(EPERM))];
        return MemoryMarshal.AsBytes<Instruction>(all).ToArray();
    }

    private static Instruction Load(int offset) => new(Operation.Load, 0, 0, (uint)offset);

    private static Instruction Return(uint action) => new(Operation.Return, 0, 0, action);

    // struct sock_filter {__u16 code; __u8 jt, jf; __u32 k;}, linux/filter.h.
    [StructLayout(LayoutKind.Sequential)]
    private readonly record struct Instruction(Operation Code, byte IfTrue, byte IfFalse, uint Operand)
    {
        public Instruction ElseSkip(int count) => Code switch
        {
            Operation.JumpIfNotLess => this with { IfFalse = checked((byte)count) },
            Operation.JumpIfGreater => this with { IfTrue = checked((byte)count) },
            _ => this,
        };
    }

    /// <summary>A test of one 32-bit half of an argument: after the mask it lies between two values.</summary>
    /// <param name="Word">Twice the argument's number for its low half, one more for the high one.</param>
    internal readonly record struct Condition(int Word, uint Mask, uint Least, uint Most)
    {
        /// <summary>The argument, of type int, is one value.</summary>
        public static Condition Is(int argument, uint value) => new(2 * argument, uint.MaxValue, value, value);

        /// <summary>The argument, of type int, lies between two values.</summary>
        public static Condition Between(int argument, uint least, uint most) => new(2 * argument, uint.MaxValue, least, most);

        /// <summary>These bits of the argument have this value; those above 32 do not matter.</summary>
        public static Condition Bits(int argument, uint mask, uint value) => new(2 * argument, mask, value, value);

        /// <summary>The high half of a 64-bit argument is zero.</summary>
        public static Condition HighIsZero(int argument) => new((2 * argument) + 1, uint.MaxValue, 0, 0);
    }
}
