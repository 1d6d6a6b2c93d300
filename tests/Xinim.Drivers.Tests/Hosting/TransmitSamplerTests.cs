using System.Diagnostics;
using Xinim.Drivers.Hosting;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Protocols;
using Xunit;

namespace Xinim.Drivers.Tests.Hosting;

public sealed class TransmitSamplerTests : IDisposable
{
    private readonly SharedRegion _page = VitalSigns.Create();
    private readonly TransmitSampler _sampler;

    public TransmitSamplerTests() => _sampler = new TransmitSampler(new VitalSigns(_page));

    private ulong Samples => new VitalSigns(_page).Latency.Samples;

    [Fact]
    public void A_sample_ends_when_its_own_buffer_comes_back()
    {
        _sampler.OnTaken(3);
        _sampler.OnReturned(3);
        Assert.Equal(1ul, Samples);
        _sampler.OnTaken(2); // the next sample: the first of these
        _sampler.OnTaken(5); // none: one is under way
        _sampler.OnReturned(0);
        Assert.Equal(1ul, Samples);
        _sampler.OnReturned(1);
        Assert.Equal(2ul, Samples);
        _sampler.OnReturned(6);
        Assert.Equal(2ul, Samples);
    }

    [Fact]
    public void Buffers_that_were_taken_before_do_not_end_a_sample()
    {
        _sampler.OnTaken(1);
        _sampler.OnTaken(4);
        _sampler.OnReturned(1); // the first sample
        _sampler.OnTaken(1); // the second: four are before it
        _sampler.OnReturned(4);
        Assert.Equal(1ul, Samples);
        _sampler.OnReturned(1);
        Assert.Equal(2ul, Samples);
    }

    [Fact]
    public void The_time_is_the_one_between_the_two()
    {
        long before = Stopwatch.GetTimestamp();
        _sampler.OnTaken(1);
        long taken = Stopwatch.GetTimestamp();
        while (Stopwatch.GetElapsedTime(taken) < TimeSpan.FromMilliseconds(2)) Thread.SpinWait(10);
        _sampler.OnReturned(1);
        Assert.InRange(new VitalSigns(_page).Latency.Max, 2e6, Stopwatch.GetElapsedTime(before).TotalNanoseconds);
    }

    [Fact]
    public void What_a_client_left_behind_ends_no_sample_of_the_next()
    {
        _sampler.OnTaken(7);
        _sampler.Forget();
        _sampler.OnTaken(2);
        _sampler.OnReturned(1);
        Assert.Equal(1ul, Samples);
    }

    [Fact]
    public void Positions_may_wrap_and_nothing_is_allocated()
    {
        Pass();
        ulong had = Samples;
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 100; i++) Pass();
        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        Assert.Equal(0, allocated);
        Assert.Equal(had + 100, Samples);

        void Pass()
        {
            _sampler.OnTaken(0x40000000);
            _sampler.OnReturned(0x40000000);
        }
    }

    public void Dispose() => _page.Dispose();
}
