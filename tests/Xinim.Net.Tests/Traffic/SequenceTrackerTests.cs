using CsCheck;
using Xinim.Net.Traffic;

namespace Xinim.Net.Tests.Traffic;

public sealed class SequenceTrackerTests
{
    private static SequenceTracker Track(params IEnumerable<ulong> numbers)
    {
        SequenceTracker tracker = new();
        foreach (ulong number in numbers) tracker.Add(number);
        return tracker;
    }

    [Fact]
    public void Sees_loss_repetition_and_order()
    {
        SequenceTracker tracker = Track(5, 6, 8, 7, 8, 12);
        Assert.Equal((5ul, 3ul, 1ul, 1ul), (tracker.Unique, tracker.Lost, tracker.Duplicates, tracker.Reordered));
        Assert.Equal((0ul, 0ul), (Track().Lost, Track(0).Lost));
        Assert.Equal(1ul, Track(0, 0).Duplicates);
    }

    [Fact]
    public void A_leap_over_the_whole_window_forgets_it()
    {
        SequenceTracker tracker = Track(0, 1, 200_000, 1, 200_000 - 65_535);
        Assert.Equal((4ul, 1ul, 1ul), (tracker.Unique, tracker.TooOld, tracker.Reordered));
        Assert.Equal(200_001ul - 4, tracker.Lost);
    }

    [Fact]
    public void Numbers_at_the_end_do_no_harm()
    {
        SequenceTracker tracker = Track(1, ulong.MaxValue - 1, ulong.MaxValue, 2);
        Assert.Equal((2ul, 2ul), (tracker.Unique, tracker.TooOld));
    }

    [Fact]
    public void Agrees_with_a_set_within_the_window() => Gen.ULong[0, 500].Array[1, 400].Sample(numbers =>
    {
        SequenceTracker tracker = Track(numbers);
        ulong different = (ulong)numbers.Distinct().Count();
        Assert.Equal(different, tracker.Unique);
        Assert.Equal((ulong)numbers.Length - different, tracker.Duplicates);
        Assert.Equal(numbers.Max() - numbers.Min() + 1 - different, tracker.Lost);
    });
}
