using Xinim.Faults.Processes;
using Xinim.Faults.Targets;

namespace Xinim.Faults.Faults;

/// <summary>Where in a process a bit is flipped.</summary>
internal enum Segment
{
    /// <summary>Instructions of the driver's executable.</summary>
    Code,

    /// <summary>Its writable data.</summary>
    Data,

    /// <summary>Anonymous memory: the collector's and malloc's.</summary>
    Heap,

    /// <summary>The main thread's stack, from its pointer up.</summary>
    Stack,
}

/// <summary>
/// Bits of the driver's memory are turned over: in a page that it has touched or, half of the time, close behind a pointer on its stack, where
/// the code to return to and the objects in use are.
/// </summary>
/// <param name="segment">Where.</param>
/// <param name="count">Bits at a time.</param>
internal sealed class BitFlip(Segment segment, int count) : IFault
{
    // Deeper frames than these belong to the runtime's start and are never returned to.
    private const int StackBytes = 16384;

    // Bytes behind a pointer that belong to the same code or object.
    private const int Near = 128;

    public string Kind => $"{segment.ToString().ToLowerInvariant()}-{(count == 1 ? "flip" : "burst")}";

    public bool Lies => true;

    public bool Fits(DeviceTarget target) => true;

    public string Inject(DeviceTarget target, Random random)
    {
        using ProcessMemory memory = new(target.DriverPid);
        string said = FlipOne(memory, random);
        for (int i = 1; i < count; i++)
        {
            try
            {
                _ = FlipOne(memory, random);
            }
            catch (IOException)
            {
                return $"{said} and {i - 1} more, of which it died";
            }
        }

        return count == 1 ? said : $"{said} and {count - 1} more";
    }

    private string FlipOne(ProcessMemory memory, Random random)
    {
        ulong address = Address(memory, random);
        int bit = random.Next(8);
        memory.Flip(address, bit);
        return $"bit {bit} at 0x{address:x}";
    }

    /// <summary>The segment's mappings.</summary>
    internal IEnumerable<Mapping> Choose(IReadOnlyList<Mapping> maps)
    {
        string executable = maps.Count == 0 ? "" : maps[0].Path;
        return maps.Where(mapping => segment switch
        {
            Segment.Code => mapping.IsExecutable && mapping.Path == executable,
            Segment.Data => mapping.IsWritable && mapping.Path == executable,
            Segment.Heap => mapping.IsWritable && !mapping.IsExecutable && mapping.Path is "" or "[heap]",
            _ => mapping.Path == "[stack]",
        });
    }

    private ulong Address(ProcessMemory memory, Random random)
    {
        Mapping[] maps = [.. memory.Maps];
        Mapping[] chosen = [.. Choose(maps)];
        Mapping stack = maps.FirstOrDefault(mapping => mapping.Path == "[stack]");
        if (chosen.Length == 0 || stack.End == 0) throw new IOException("the driver has ended");
        if (segment == Segment.Stack && memory.StackPointer() is { } from && from >= stack.Start && from < stack.End)
            return from + (ulong)random.NextInt64((long)Math.Min((ulong)StackBytes, stack.End - from));
        // Half of the faults strike what is certainly in use.
        List<ulong> used = random.Next(2) == 0 ? memory.PointersOnStack(stack, chosen, StackBytes) : [];
        if (used.Count != 0 && used[random.Next(used.Count)] + (ulong)random.Next(Near) is var near && chosen.Any(mapping => near < mapping.End && near >= mapping.Start)) return near;
        List<ulong> pages = [.. chosen.SelectMany(memory.TouchedPages)];
        return pages.Count == 0 ? throw new IOException("the driver has ended") : pages[random.Next(pages.Count)] + (ulong)random.Next(ProcessMemory.PageBytes);
    }
}
