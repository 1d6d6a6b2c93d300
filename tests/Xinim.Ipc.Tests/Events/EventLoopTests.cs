using Microsoft.Win32.SafeHandles;
using Xinim.Ipc.Channels;
using Xinim.Ipc.Events;
using Xinim.Ipc.Native;
using Xunit;

namespace Xinim.Ipc.Tests.Events;

public sealed class EventLoopTests : IDisposable
{
    private readonly EventLoop _loop = new();
    private readonly SafeFileHandle _first = Descriptor.CreateEvent(), _second = Descriptor.CreateEvent();

    public void Dispose()
    {
        _loop.Dispose();
        _first.Dispose();
        _second.Dispose();
    }

    [Fact]
    public void A_handler_runs_when_its_descriptor_is_readable_and_again_until_it_is_not()
    {
        int calls = 0;
        _loop.Watch(_first, () => calls++);
        Round();
        Assert.Equal(0, calls);
        Descriptor.Signal(_first);
        Round();
        Round();
        Assert.Equal(2, calls);
        Descriptor.Drain(_first);
        Round();
        Assert.Equal(2, calls);
    }

    [Fact]
    public void A_handler_runs_when_the_peer_closes()
    {
        (Channel near, Channel far) = Channel.CreatePair();
        bool closed = false;
        _loop.Watch(near.Handle, () => closed = !near.TryReceive(out _));
        far.Dispose();
        Round();
        Assert.True(closed);
        near.Dispose();
    }

    [Fact]
    public void A_handler_can_stop_watching_itself_and_is_not_called_again()
    {
        int calls = 0;
        IDisposable? watch = null;
        watch = _loop.Watch(_first, () =>
        {
            calls++;
            watch!.Dispose();
        });
        Descriptor.Signal(_first);
        Round();
        Round();
        Assert.Equal(1, calls);
    }

    [Fact]
    public void A_handler_that_another_one_removed_in_the_same_round_is_not_called()
    {
        List<string> calls = [];
        IDisposable? first = null, second = null;
        first = _loop.Watch(_first, () => Run("first", second!));
        second = _loop.Watch(_second, () => Run("second", first!));
        Descriptor.Signal(_first);
        Descriptor.Signal(_second);
        Round();
        Round();
        Assert.Equal(2, calls.Count);
        Assert.Equal(calls[0], calls[1]);

        void Run(string name, IDisposable other)
        {
            calls.Add(name);
            other.Dispose();
        }
    }

    [Fact]
    public void A_handler_can_watch_more_and_a_removed_descriptor_can_be_watched_again()
    {
        int calls = 0;
        IDisposable? watch = null;
        watch = _loop.Watch(_first, () =>
        {
            watch!.Dispose();
            _loop.Watch(_first, () => calls++);
            _loop.Watch(_second, () => calls++);
        });
        Descriptor.Signal(_first);
        Descriptor.Signal(_second);
        Round();
        Assert.Equal(0, calls);
        Round();
        Assert.Equal(2, calls);
    }

    [Fact]
    public void Watching_twice_or_what_cannot_be_watched_is_refused()
    {
        _loop.Watch(_first, () => { });
        Assert.Throws<LinuxException>(() => _loop.Watch(_first, () => { }));
        using SafeFileHandle file = File.OpenHandle("/proc/self/exe");
        Assert.Throws<LinuxException>(() => _loop.Watch(file, () => { }));
    }

    [Fact]
    public void Stopping_to_watch_after_the_descriptor_was_closed_harms_nothing()
    {
        SafeFileHandle handle = Descriptor.CreateEvent();
        IDisposable watch = _loop.Watch(handle, () => { });
        handle.Dispose();
        watch.Dispose();
        watch.Dispose();
        Round();
    }

    [Fact]
    public void More_events_than_a_batch_are_all_handled()
    {
        int calls = 0;
        List<SafeFileHandle> events = [.. Enumerable.Range(0, 100).Select(_ => Descriptor.CreateEvent())];
        foreach (SafeFileHandle handle in events)
        {
            _loop.Watch(handle, () =>
            {
                Descriptor.Drain(handle);
                calls++;
            });
            Descriptor.Signal(handle);
        }

        for (int i = 0; i < 10; i++) Round();
        Assert.Equal(100, calls);
        events.ForEach(handle => handle.Dispose());
    }

    [Fact]
    public void A_timer_ends_the_wait_and_runs_once()
    {
        int calls = 0;
        _loop.After(TimeSpan.FromMilliseconds(1), () => calls++);
        while (calls == 0) _loop.RunOnce(Timeout.InfiniteTimeSpan);
        Round();
        Assert.Equal(1, calls);
    }

    [Fact]
    public void Timers_run_in_the_order_in_which_they_are_due()
    {
        List<int> calls = [];
        _loop.After(TimeSpan.FromMilliseconds(6), () => calls.Add(3));
        _loop.After(TimeSpan.FromMilliseconds(2), () => calls.Add(2));
        _loop.After(TimeSpan.Zero, () => calls.Add(1));
        while (calls.Count < 3) _loop.RunOnce(Timeout.InfiniteTimeSpan);
        Assert.Equal([1, 2, 3], calls);
    }

    [Fact]
    public void A_cancelled_timer_does_not_run_even_when_it_is_due_in_the_same_round()
    {
        bool ran = false, last = false;
        IDisposable? second = null;
        _loop.After(TimeSpan.Zero, () => second!.Dispose());
        second = _loop.After(TimeSpan.Zero, () => ran = true);
        _loop.After(TimeSpan.FromMilliseconds(2), () => last = true);
        while (!last) _loop.RunOnce(Timeout.InfiniteTimeSpan);
        Assert.False(ran);
    }

    [Fact]
    public void A_periodic_timer_runs_until_it_is_cancelled_by_itself()
    {
        int calls = 0;
        bool after = false;
        IDisposable? timer = null;
        timer = _loop.Every(TimeSpan.FromMilliseconds(1), () =>
        {
            if (++calls == 3) timer!.Dispose();
        });
        while (calls < 3) _loop.RunOnce(Timeout.InfiniteTimeSpan);
        _loop.After(TimeSpan.FromMilliseconds(5), () => after = true);
        while (!after) _loop.RunOnce(Timeout.InfiniteTimeSpan);
        Assert.Equal(3, calls);
    }

    [Fact]
    public void A_periodic_timer_whose_action_throws_goes_on()
    {
        int calls = 0;
        _loop.Every(TimeSpan.FromMilliseconds(1), () => throw new InvalidDataException($"{++calls}"));
        Assert.Throws<InvalidDataException>(RunUntilThrown);
        Assert.Throws<InvalidDataException>(RunUntilThrown);
        Assert.Equal(2, calls);

        void RunUntilThrown()
        {
            while (true) _loop.RunOnce(Timeout.InfiniteTimeSpan);
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    public void A_period_that_never_ends_a_round_is_refused(int milliseconds) =>
        Assert.Throws<ArgumentOutOfRangeException>(() => _loop.Every(TimeSpan.FromMilliseconds(milliseconds), () => { }));

    [Fact]
    public void Work_of_other_threads_runs_on_the_loops_thread_in_order()
    {
        List<int> done = [];
        HashSet<int> threads = [];
        Thread[] posters = [.. Enumerable.Range(0, 4).Select(poster => new Thread(() => Post(poster)))];
        foreach (Thread poster in posters) poster.Start();
        while (done.Count < 4000) _loop.RunOnce(Timeout.InfiniteTimeSpan);
        foreach (Thread poster in posters) poster.Join();
        Assert.Equal([Environment.CurrentManagedThreadId], threads);
        for (int poster = 0; poster < 4; poster++) Assert.Equal(Enumerable.Range(poster * 1000, 1000), done.Where(number => number / 1000 == poster));

        void Post(int poster)
        {
            for (int i = 0; i < 1000; i++)
            {
                int number = (poster * 1000) + i;
                _loop.Post(() =>
                {
                    threads.Add(Environment.CurrentManagedThreadId);
                    done.Add(number);
                });
            }
        }
    }

    [Fact]
    public void Posted_work_behind_one_that_throws_is_not_forgotten()
    {
        bool ran = false;
        _loop.Post(() => throw new InvalidDataException());
        _loop.Post(() => ran = true);
        Assert.Throws<InvalidDataException>(Round);
        Round();
        Assert.True(ran);
    }

    [Fact]
    public void Work_that_posts_itself_does_not_keep_the_descriptors_from_being_served()
    {
        int posted = 0;
        bool served = false;
        _loop.Watch(_first, () => served = true);
        Descriptor.Signal(_first);
        _loop.Post(Again);
        for (int i = 0; i < 5; i++) Round();
        Assert.True(served);
        Assert.InRange(posted, 1, 5);

        void Again()
        {
            // A loop that never gets out of here fails the test instead of hanging it.
            if (++posted < 100) _loop.Post(Again);
        }
    }

    [Fact]
    public void A_timer_that_asks_for_itself_again_at_once_does_not_keep_the_descriptors_from_being_served()
    {
        int runs = 0;
        bool served = false;
        _loop.After(TimeSpan.Zero, Again);
        for (int i = 0; i < 3; i++) Round();
        Assert.InRange(runs, 1, 3);
        _loop.Watch(_first, () => served = true);
        Descriptor.Signal(_first);
        Round();
        Assert.True(served);

        void Again()
        {
            if (++runs < 100) _loop.After(TimeSpan.Zero, Again);
        }
    }

    [Fact]
    public void Another_thread_stops_the_loop_while_it_waits()
    {
        using ManualResetEventSlim running = new();
        Thread stopper = new(() =>
        {
            running.Wait();
            _loop.Stop();
        });
        stopper.Start();
        _loop.Post(running.Set);
        _loop.Run();
        stopper.Join();
    }

    [Fact]
    public void A_loop_that_was_stopped_before_it_ran_returns()
    {
        _loop.Stop();
        _loop.Run();
    }

    private void Round() => _loop.RunOnce(TimeSpan.Zero);
}
