using Xunit;

namespace Xinim.Ipc.Tests.Interleaving;

/// <summary>The memory model itself, on the classic two-thread programs.</summary>
public sealed class MachineTests
{
    [Fact]
    public void A_thread_sees_its_own_delayed_store_and_the_other_does_not()
    {
        Machine machine = new(1, 0);
        machine.Store(0, 0, 7);
        Assert.Equal(7, machine.Load(0, 0));
        Assert.Equal(0, machine.Load(1, 0));
        machine.Flush(0, 0);
        Assert.Equal(7, machine.Load(1, 0));
    }

    [Fact]
    public void Stores_to_different_words_may_pass_each_other_and_stores_to_one_word_may_not()
    {
        Machine machine = new(2, 0);
        machine.Store(0, 0, 1);
        machine.Store(0, 1, 1);
        machine.Store(0, 0, 2);
        Assert.Equal([0, 1], machine.Flushable(0));
    }

    [Fact]
    public void Nothing_passes_a_release()
    {
        Machine machine = new(2, 0);
        machine.Store(0, 0, 1);
        machine.StoreRelease(0, 1, 1);
        Assert.Equal([0], machine.Flushable(0));
        machine.Flush(0, 0);
        Assert.Equal([0], machine.Flushable(0));
        machine.Flush(0, 0);
        Assert.True(machine.Fenced(0));
    }

    [Fact]
    public void Equal_states_have_equal_keys_and_a_delayed_store_is_part_of_the_state()
    {
        Machine machine = new(2, 1);
        Assert.Equal(machine.Key(), machine.Clone().Key());
        Machine other = machine.Clone();
        other.Store(1, 0, 0);
        Assert.NotEqual(machine.Key(), other.Key());
    }
}
