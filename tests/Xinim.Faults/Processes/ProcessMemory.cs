using System.Globalization;
using Microsoft.Win32.SafeHandles;
using Xinim.TestKit;

namespace Xinim.Faults.Processes;

/// <summary>
/// Another process's memory through /proc/PID/mem, read-only pages too (proc_pid_mem(5)). Needs what ptrace needs: the same user and a
/// dumpable process, or root. Every access throws <see cref="IOException"/> when the process has ended.
/// </summary>
internal sealed class ProcessMemory : IDisposable
{
    public const int PageBytes = 4096;

    private readonly int _pid;
    private readonly SafeFileHandle _memory;

    public ProcessMemory(int pid)
    {
        _pid = pid;
        try
        {
            _memory = File.OpenHandle($"/proc/{pid}/mem", FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);
        }
        catch (UnauthorizedAccessException)
        {
            throw new CampaignException($"process {pid} does not let this user write its memory; run as root (memory faults need it where drivers are not dumpable)");
        }
    }

    public IEnumerable<Mapping> Maps => Mapping.Of(_pid);

    public void Read(ulong address, Span<byte> into)
    {
        if (RandomAccess.Read(_memory, into, (long)address) != into.Length) throw new IOException($"0x{address:x} of process {_pid} is not mapped");
    }

    public uint Read32(ulong address)
    {
        Span<byte> word = stackalloc byte[sizeof(uint)];
        Read(address, word);
        return BitConverter.ToUInt32(word);
    }

    /// <remarks>A process that is ending takes 0 bytes, without an error.</remarks>
    public void Write(ulong address, ReadOnlySpan<byte> bytes)
    {
        if (RawFile.WriteAt(_memory, bytes, address) != bytes.Length) throw new IOException($"0x{address:x} of process {_pid} cannot be written");
    }

    public void Write32(ulong address, uint value) => Write(address, BitConverter.GetBytes(value));

    /// <summary>Turns one bit over.</summary>
    /// <param name="bit">0–7.</param>
    public void Flip(ulong address, int bit)
    {
        Span<byte> one = stackalloc byte[1];
        Read(address, one);
        one[0] ^= (byte)(1 << bit);
        Write(address, one);
    }

    /// <summary>Pages of a mapping that the process has touched, so that a fault there has a chance to matter: bit 63 of its pagemap (pagemap.rst).</summary>
    public List<ulong> TouchedPages(Mapping mapping)
    {
        List<ulong> pages = [];
        using SafeFileHandle map = File.OpenHandle($"/proc/{_pid}/pagemap", FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        ulong count = (mapping.End - mapping.Start) / PageBytes;
        byte[] entries = new byte[Math.Min(count, 4096) * sizeof(ulong)];
        for (ulong first = 0; first < count; first += 4096)
        {
            int bytes = RandomAccess.Read(map, entries, (long)((mapping.Start / PageBytes) + first) * sizeof(ulong));
            for (int i = 0; i < bytes / sizeof(ulong) && first + (ulong)i < count; i++)
            {
                if (BitConverter.ToInt64(entries, i * sizeof(ulong)) < 0) pages.Add(mapping.Start + ((first + (ulong)i) * PageBytes));
            }
        }

        return pages;
    }

    /// <summary>The main thread's stack pointer; null while it runs on a processor (proc_pid_syscall(5)).</summary>
    public ulong? StackPointer()
    {
        string[] words = File.ReadAllText($"/proc/{_pid}/syscall").Split(' ');
        return words.Length >= 3 ? ulong.Parse(words[^2][2..], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture) : null;
    }

    /// <summary>Words on the main thread's stack that could be pointers into a mapping: return addresses, objects in use. Empty while the thread runs.</summary>
    public List<ulong> PointersOnStack(Mapping stack, IReadOnlyList<Mapping> into, int bytes)
    {
        List<ulong> found = [];
        if (StackPointer() is not { } from || from < stack.Start || from >= stack.End) return found;
        byte[] words = new byte[(int)Math.Min((ulong)bytes, stack.End - from)];
        Read(from, words);
        for (int at = 0; at + sizeof(ulong) <= words.Length; at += sizeof(ulong))
        {
            ulong word = BitConverter.ToUInt64(words, at);
            if (into.Any(mapping => word >= mapping.Start && word < mapping.End)) found.Add(word);
        }

        return found;
    }

    public void Dispose() => _memory.Dispose();
}
