using Microsoft.Win32.SafeHandles;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Native;
using Xinim.Ipc.Rings;
using Xunit;

namespace Xinim.Ipc.Tests.Rings;

public sealed class DoorbellTests : IDisposable
{
    private const long Offset = 128;
    private readonly SharedRegion _region = SharedRegion.Create("bell", 4096, PageChoice.Ordinary);
    private readonly SafeFileHandle _event = Descriptor.CreateEvent();
    private readonly Doorbell _sleeper, _ringer;

    public DoorbellTests()
    {
        _sleeper = new Doorbell(_region, Offset, _event);
        _ringer = new Doorbell(_region, Offset, _event);
    }

    public void Dispose()
    {
        _region.Dispose();
        _event.Dispose();
    }

    [Fact]
    public void Nobody_is_rung_who_is_awake()
    {
        Assert.False(_ringer.Ring());
        _sleeper.PrepareToSleep();
        _sleeper.Awake();
        Assert.False(_ringer.Ring());
        Assert.False(IsSignalled());
    }

    [Fact]
    public void A_sleeper_is_rung_once_however_often_is_published()
    {
        _sleeper.PrepareToSleep();
        Assert.True(_ringer.Ring());
        Assert.False(_ringer.Ring());
        _sleeper.Awake();
        Assert.True(IsSignalled());
        _sleeper.TakeSignal();
        Assert.False(IsSignalled());
    }

    [Fact]
    public void A_ring_between_preparing_and_sleeping_is_not_lost()
    {
        _sleeper.PrepareToSleep();
        _ringer.Ring();
        Assert.Equal(1u, Descriptor.Poll(0, _sleeper.Handle));
    }

    [Fact]
    public void Who_goes_to_sleep_again_is_rung_again()
    {
        for (int i = 0; i < 3; i++)
        {
            _sleeper.PrepareToSleep();
            Assert.True(_ringer.Ring());
            _sleeper.Awake();
        }
    }

    [Theory]
    [InlineData(-4)]
    [InlineData(2)]
    [InlineData(4096)]
    public void The_word_lies_in_the_region(long offset) => Assert.Throws<ArgumentOutOfRangeException>(() => new Doorbell(_region, offset, _event));

    [Theory]
    [InlineData(2u)]
    [InlineData(0x80000000)]
    [InlineData(uint.MaxValue)]
    public void Any_word_but_zero_is_a_sleeper(uint word)
    {
        _region.At<uint>(Offset) = word;
        Assert.True(_ringer.Ring());
        Assert.Equal(0u, _region.At<uint>(Offset));
    }

    [Fact]
    public void A_full_event_counter_does_not_stop_the_ringer()
    {
        // The most that an eventfd holds: the next write would have to wait (eventfd(2)).
        using (FileStream stream = new(Descriptor.Duplicate(_event), FileAccess.Write, 0)) stream.Write(BitConverter.GetBytes(ulong.MaxValue - 1));
        _sleeper.PrepareToSleep();
        Assert.True(_ringer.Ring());
        _sleeper.TakeSignal();
        Assert.False(IsSignalled());
    }

    private bool IsSignalled() => Descriptor.Poll(0, _event) != 0;
}
