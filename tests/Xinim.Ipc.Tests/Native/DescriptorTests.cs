using System.Diagnostics;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using Xinim.Ipc.Native;
using Xunit;

namespace Xinim.Ipc.Tests.Native;

public sealed class DescriptorTests
{
    [Fact]
    public void Poll_tells_which_descriptor_is_ready()
    {
        using SafeFileHandle first = Descriptor.CreateEvent(), second = Descriptor.CreateEvent();
        Assert.Equal(0u, Descriptor.Poll(0, first, second));
        Descriptor.Signal(second);
        Assert.Equal(2u, Descriptor.Poll(-1, first, second));
        Assert.Equal(1ul, Descriptor.Drain(second));
        Assert.Equal(0u, Descriptor.Poll(TimeSpan.FromSeconds(-3), first, second));
    }

    [Fact]
    public void A_short_wait_is_not_none()
    {
        using SafeFileHandle never = Descriptor.CreateEvent();
        long start = Stopwatch.GetTimestamp();
        Descriptor.Poll(TimeSpan.FromMicroseconds(10), never);
        Assert.True(Stopwatch.GetElapsedTime(start) > TimeSpan.FromMicroseconds(900));
    }

    /// <summary>A signal that somebody handles ends a wait early and is no failure.</summary>
    [Fact]
    public void A_signal_ends_a_poll_without_an_error()
    {
        using PosixSignalRegistration handler = PosixSignalRegistration.Create(PosixSignal.SIGWINCH, _ => { });
        using SafeFileHandle never = Descriptor.CreateEvent();
        using ManualResetEventSlim started = new();
        int poller = 0;
        Exception? failure = null;
        Thread thread = new(() =>
        {
            poller = TestNative.ThisThread();
            started.Set();
            failure = Record.Exception(() => Descriptor.Poll(-1, never));
        });
        thread.Start();
        started.Wait(TestContext.Current.CancellationToken);
        while (!thread.Join(TimeSpan.FromMilliseconds(1))) TestNative.SignalThread(poller, 28);
        Assert.Null(failure);
    }
}
