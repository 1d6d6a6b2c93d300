using System.Collections.Concurrent;
using System.Diagnostics;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using Tmds.Linux;
using Xinim.Ipc.Native;
using static Tmds.Linux.LibC;

namespace Xinim.Ipc.Events;

/// <summary>
/// Waits for descriptors and timers on one thread and calls their handlers there (epoll(7), level-triggered). All state that handlers
/// touch belongs to that thread, so nothing is locked; other threads hand work over with <see cref="Post"/>.
/// </summary>
public sealed unsafe class EventLoop : IDisposable
{
    private const int BatchSize = 32;

    private readonly SafeFileHandle _epoll = Descriptor.Own(epoll_create1(EPOLL_CLOEXEC), "cannot make an epoll instance");
    private readonly SafeFileHandle _wake = Descriptor.CreateEvent();
    private readonly Dictionary<int, Action> _handlers = [];
    private readonly PriorityQueue<Timer, long> _timers = new();
    private readonly ConcurrentQueue<Action> _posted = new();
    private int _nextKey;
    private volatile bool _stopped;

    public EventLoop() => Watch(_wake, RunPosted);

    /// <summary>Calls <paramref name="onReadable"/> whenever the descriptor is readable or was closed by its peer.</summary>
    /// <returns>Dispose to stop watching, also from within a handler, and before the descriptor is closed.</returns>
    public IDisposable Watch(SafeFileHandle handle, Action onReadable)
    {
        int key = _nextKey++;
        epoll_event request = new() { events = EPOLLIN };
        request.data.u64 = (ulong)key;
        if (epoll_ctl(Descriptor.Number(_epoll), EPOLL_CTL_ADD, Descriptor.Number(handle), &request) != 0) throw LinuxException.Last("cannot watch a descriptor");
        _handlers.Add(key, onReadable);
        return new Registration(() => Forget(key, handle));
    }

    /// <summary>Calls <paramref name="action"/> once, after <paramref name="delay"/>.</summary>
    /// <returns>Dispose to cancel.</returns>
    public IDisposable After(TimeSpan delay, Action action) => Schedule(delay, null, action);

    /// <summary>Calls <paramref name="action"/> every <paramref name="period"/>; periods missed while the loop was busy are skipped.</summary>
    /// <returns>Dispose to cancel.</returns>
    public IDisposable Every(TimeSpan period, Action action)
    {
        ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(period, TimeSpan.Zero);
        return Schedule(period, period, action);
    }

    /// <summary>Runs <paramref name="action"/> on the loop's thread. The only member, with <see cref="Stop"/>, that other threads may call.</summary>
    public void Post(Action action)
    {
        _posted.Enqueue(action);
        Descriptor.Signal(_wake);
    }

    /// <summary>Makes <see cref="Run"/> return after the handlers of the current round.</summary>
    public void Stop()
    {
        _stopped = true;
        Descriptor.Signal(_wake);
    }

    /// <summary>Runs until <see cref="Stop"/>.</summary>
    public void Run()
    {
        while (!_stopped) RunOnce(Timeout.InfiniteTimeSpan);
    }

    /// <summary>One round: waits for at most <paramref name="wait"/> (zero: not at all), calls what is due.</summary>
    public void RunOnce(TimeSpan wait)
    {
        epoll_event* events = stackalloc epoll_event[BatchSize];
        int count = epoll_wait(Descriptor.Number(_epoll), events, BatchSize, MillisecondsTo(wait));
        if (count < 0 && Marshal.GetLastPInvokeError() != EINTR) throw LinuxException.Last("cannot wait for events");
        for (int i = 0; i < count; i++)
        {
            // A handler that ran before may have removed this one: keys are never used again.
            if (_handlers.TryGetValue((int)events[i].data.u64, out Action? handler)) handler();
        }

        RunTimers();
    }

    public void Dispose()
    {
        _epoll.Dispose();
        _wake.Dispose();
    }

    private Timer Schedule(TimeSpan delay, TimeSpan? period, Action action)
    {
        Timer timer = new(action, period);
        _timers.Enqueue(timer, Now + (long)(delay.TotalSeconds * Stopwatch.Frequency));
        return timer;
    }

    private void RunTimers()
    {
        // Looked at once: a timer that asks for itself again at once waits for the next round.
        long now = Now;
        while (_timers.TryPeek(out Timer? timer, out long due) && (due <= now || timer.Cancelled))
        {
            _timers.Dequeue();
            if (timer.Cancelled) continue;
            // Asked for again before it runs: an action that throws does not end its own series.
            if (timer.Period is { } period) _timers.Enqueue(timer, Math.Max(due, Now) + (long)(period.TotalSeconds * Stopwatch.Frequency));
            timer.Action();
        }
    }

    private void RunPosted()
    {
        Descriptor.Drain(_wake);
        try
        {
            // What is there now, not what these add: work that posts itself must not keep the descriptors waiting.
            for (int left = _posted.Count; left > 0 && _posted.TryDequeue(out Action? action); left--) action();
        }
        finally
        {
            if (!_posted.IsEmpty) Descriptor.Signal(_wake);
        }
    }

    private int MillisecondsTo(TimeSpan wait)
    {
        if (_stopped) return 0;
        long limit = wait == Timeout.InfiniteTimeSpan ? int.MaxValue : (long)wait.TotalMilliseconds;
        if (limit > 0 && _timers.TryPeek(out _, out long due))
            limit = Math.Min(limit, Math.Max(0, (due - Now) * 1000 + Stopwatch.Frequency - 1) / Stopwatch.Frequency);
        return limit == int.MaxValue ? -1 : (int)limit;
    }

    private void Forget(int key, SafeFileHandle handle)
    {
        if (!_handlers.Remove(key) || handle.IsClosed || _epoll.IsClosed) return;
        epoll_event none = default;
        _ = epoll_ctl(Descriptor.Number(_epoll), EPOLL_CTL_DEL, Descriptor.Number(handle), &none);
    }

    private static long Now => Stopwatch.GetTimestamp();

    private sealed class Registration(Action forget) : IDisposable
    {
        public void Dispose() => forget();
    }

    private sealed class Timer(Action action, TimeSpan? period) : IDisposable
    {
        public Action Action => action;

        public TimeSpan? Period => period;

        public bool Cancelled { get; private set; }

        public void Dispose() => Cancelled = true;
    }
}
