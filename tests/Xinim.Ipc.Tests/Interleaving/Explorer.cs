namespace Xinim.Ipc.Tests.Interleaving;

/// <summary>A program for the two threads of a <see cref="Machine"/>.</summary>
internal interface IProgram
{
    Machine Start();

    /// <summary>Runs one step of a thread: at most one access to shared memory.</summary>
    /// <returns>False where the thread cannot go on in this state: it waits, or has ended.</returns>
    /// <exception cref="ViolationException">The step shows that the program is wrong.</exception>
    bool Step(Machine machine, int thread);

    /// <summary>Something from outside that may happen to a thread in this state, or not.</summary>
    /// <returns>False where nothing may.</returns>
    bool Interfere(Machine machine, int thread);

    bool IsDone(Machine machine);

    /// <summary>What the next step of a thread is, for a counterexample.</summary>
    string Describe(Machine machine, int thread);
}

/// <summary>A step found something that must not be.</summary>
internal sealed class ViolationException(string message) : Exception(message);

/// <summary>What was found: how many states, and the first thing wrong with the steps that lead there (null: nothing).</summary>
internal sealed record Verdict(int States, string? Problem);

/// <summary>
/// Runs all interleavings of two threads and of their delayed stores. Two things are wrong: a step that violates, and a state from which
/// the end cannot be reached any more: a sleeper that nobody will wake.
/// </summary>
internal sealed class Explorer(IProgram program)
{
    private readonly Dictionary<string, int> _ids = [];
    private readonly List<Machine> _states = [];
    private readonly List<(int Parent, string Step)> _origins = [];
    private readonly List<List<int>> _predecessors = [];
    private string? _violation;

    public static Verdict Explore(IProgram program) => new Explorer(program).Run();

    private Verdict Run()
    {
        Visit(program.Start(), -1, "start");
        for (int at = 0; at < _states.Count && _violation is null; at++)
        {
            for (int thread = 0; thread < 2; thread++) Expand(at, thread);
        }

        return new Verdict(_states.Count, _violation ?? FindStuck());
    }

    private void Expand(int at, int thread)
    {
        Machine next = _states[at].Clone();
        string step = $"{thread}: {program.Describe(next, thread)}";
        try
        {
            if (program.Step(next, thread)) Visit(next, at, step);
        }
        catch (ViolationException violation)
        {
            _violation ??= $"{violation.Message}\n{Trace(at)}{step}\n";
        }

        next = _states[at].Clone();
        if (program.Interfere(next, thread)) Visit(next, at, $"{thread}: interrupt");
        foreach (int index in _states[at].Flushable(thread))
        {
            next = _states[at].Clone();
            next.Flush(thread, index);
            Visit(next, at, $"{thread}: store {index} reaches memory");
        }
    }

    private void Visit(Machine state, int parent, string step)
    {
        string key = state.Key();
        if (!_ids.TryGetValue(key, out int id))
        {
            id = _states.Count;
            _ids.Add(key, id);
            _states.Add(state);
            _origins.Add((parent, step));
            _predecessors.Add([]);
        }

        if (parent >= 0) _predecessors[id].Add(parent);
    }

    /// <summary>Walks backwards from every end; a state that was not met can never end.</summary>
    private string? FindStuck()
    {
        bool[] ends = new bool[_states.Count];
        Stack<int> open = new(Enumerable.Range(0, _states.Count).Where(id => program.IsDone(_states[id])));
        while (open.TryPop(out int id))
        {
            if (ends[id]) continue;
            ends[id] = true;
            foreach (int before in _predecessors[id]) open.Push(before);
        }

        int stuck = Array.IndexOf(ends, false);
        return stuck < 0 ? null : $"from here the end cannot be reached\n{Trace(stuck)}";
    }

    private string Trace(int id)
    {
        Stack<string> steps = new();
        for (; id >= 0; id = _origins[id].Parent) steps.Push(_origins[id].Step);
        return string.Join('\n', steps) + "\n";
    }
}
