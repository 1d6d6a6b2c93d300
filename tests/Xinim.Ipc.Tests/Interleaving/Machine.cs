namespace Xinim.Ipc.Tests.Interleaving;

/// <summary>
/// Shared words, and two threads whose stores are delayed. A store waits in its thread's buffer; buffered stores to different words reach
/// memory in any order unless a release stands between them (partial store order, weaker than x86-64 and so a stricter test).
/// Loads are made in program order and see the thread's own buffer first.
/// </summary>
internal sealed class Machine
{
    // In a buffer: what comes after reaches memory after what comes before.
    private static readonly (byte Word, byte Value) Release = (255, 0);

    private readonly List<(byte Word, byte Value)>[] _pending;

    public Machine(int words, int registers)
    {
        Memory = new byte[words];
        Counter = new int[2];
        Registers = [new byte[registers], new byte[registers]];
        _pending = [[], []];
    }

    private Machine(Machine other)
    {
        Memory = [.. other.Memory];
        Counter = [.. other.Counter];
        Registers = [[.. other.Registers[0]], [.. other.Registers[1]]];
        _pending = [[.. other._pending[0]], [.. other._pending[1]]];
    }

    public byte[] Memory { get; }

    /// <summary>Program counter of each thread.</summary>
    public int[] Counter { get; }

    public byte[][] Registers { get; }

    public Machine Clone() => new(this);

    public byte Load(int thread, int word)
    {
        int newest = _pending[thread].FindLastIndex(store => store.Word == word);
        return newest < 0 ? Memory[word] : _pending[thread][newest].Value;
    }

    public void Store(int thread, int word, byte value) => _pending[thread].Add(((byte)word, value));

    public void StoreRelease(int thread, int word, byte value)
    {
        if (_pending[thread].Count > 0) _pending[thread].Add(Release);
        Store(thread, word, value);
    }

    /// <summary>A full fence can be passed when the buffer is empty. Atomic exchanges contain one.</summary>
    public bool Fenced(int thread) => _pending[thread].Count == 0;

    /// <summary>Buffered stores that may reach memory next: the oldest to its word, with no release before it.</summary>
    public IEnumerable<int> Flushable(int thread)
    {
        List<(byte Word, byte Value)> pending = _pending[thread];
        for (int i = 0; i < pending.Count && pending[i] != Release; i++)
        {
            if (pending.FindIndex(store => store.Word == pending[i].Word) == i) yield return i;
        }
    }

    /// <summary>Lets a buffered store reach memory.</summary>
    public void Flush(int thread, int index)
    {
        List<(byte Word, byte Value)> pending = _pending[thread];
        Memory[pending[index].Word] = pending[index].Value;
        pending.RemoveAt(index);
        if (pending.Count > 0 && pending[0] == Release) pending.RemoveAt(0);
    }

    /// <summary>Equal for equal states.</summary>
    public string Key()
    {
        List<char> key = [.. Memory.Select(word => (char)word)];
        for (int thread = 0; thread < 2; thread++)
        {
            key.Add((char)Counter[thread]);
            key.AddRange(Registers[thread].Select(register => (char)register));
            key.Add((char)_pending[thread].Count);
            key.AddRange(_pending[thread].Select(store => (char)((store.Word << 8) | store.Value)));
        }

        return new string([.. key]);
    }
}
