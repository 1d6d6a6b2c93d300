using System.Diagnostics;

namespace Xinim.Faults.Targets;

/// <summary>The daemon's log as it is written: kept in a file, and each line noted with the moment at which it was seen here.</summary>
internal sealed class DaemonLog : IDisposable
{
    private readonly StreamWriter _file;
    private readonly Thread[] _threads;
    private readonly object _sync = new();
    private readonly Queue<(long At, string Text)> _lines = new();

    public DaemonLog(Process process, string path)
    {
        _file = new StreamWriter(path, append: true) { AutoFlush = true };
        _threads = [new Thread(() => Run(process.StandardOutput, keep: true)), new Thread(() => Run(process.StandardError, keep: false))];
        foreach (Thread thread in _threads)
        {
            thread.IsBackground = true;
            thread.Start();
        }
    }

    /// <summary>Forgets what was said so far.</summary>
    public void Clear()
    {
        lock (_sync) _lines.Clear();
    }

    /// <summary>Lines with a text, in order.</summary>
    public IReadOnlyList<string> With(string text)
    {
        lock (_sync) return [.. _lines.Select(line => line.Text).Where(line => line.Contains(text, StringComparison.Ordinal))];
    }

    /// <summary>When a line with that text was seen since <see cref="Clear"/>; null where none was in time.</summary>
    public long? Await(string text, TimeSpan limit) => AwaitLine(text, limit) is var (at, _) ? at : null;

    /// <inheritdoc cref="Await"/>
    public (long At, string Text)? AwaitLine(string text, TimeSpan limit)
    {
        long start = Stopwatch.GetTimestamp();
        lock (_sync)
        {
            while (true)
            {
                foreach ((long at, string line) in _lines)
                {
                    if (line.Contains(text, StringComparison.Ordinal)) return (at, line);
                }

                TimeSpan left = limit - Stopwatch.GetElapsedTime(start);
                if (left <= TimeSpan.Zero || !Monitor.Wait(_sync, left)) return null;
            }
        }
    }

    public void Dispose()
    {
        // Whoever the daemon started, and did not end, holds its output open.
        if (Array.TrueForAll(_threads, thread => thread.Join(DaemonTarget.AnswerLimit))) _file.Dispose();
    }

    /// <param name="keep">False for what drivers print when they crash: that is for the file.</param>
    private void Run(StreamReader from, bool keep)
    {
        while (from.ReadLine() is { } line)
        {
            long now = Stopwatch.GetTimestamp();
            lock (_sync)
            {
                _file.WriteLine(line);
                if (!keep) continue;
                _lines.Enqueue((now, line));
                // A campaign of hours says much; only the last fault's lines are asked for.
                if (_lines.Count > 1000) _lines.Dequeue();
                Monitor.PulseAll(_sync);
            }
        }
    }
}
