using Xinim.Net.Ping;

namespace Xinim.Net.Tests.Ping;

public sealed class PingTallyTests
{
    [Fact]
    public void Tells_answers_from_duplicates_damage_and_strangers()
    {
        PingTally tally = new();
        ushort first = tally.Send(100);
        tally.Send(200);
        Assert.Equal(ReplyKind.Unasked, tally.Receive(7, 300, intact: true, out _));
        Assert.Equal(ReplyKind.Damaged, tally.Receive(first, 300, intact: false, out _));
        Assert.Equal(ReplyKind.Answer, tally.Receive(first, 350, intact: true, out long time));
        Assert.Equal(250, time);
        Assert.Equal(ReplyKind.Duplicate, tally.Receive(first, 400, intact: true, out _));
        PingResult sum = tally.Result(TimeSpan.FromSeconds(1), 3);
        Assert.Equal((2ul, 1ul, 1ul, 1ul, 1ul, 3u), (sum.Transmitted, sum.Received, sum.Lost, sum.Duplicates, sum.Damaged, sum.Recoveries));
    }

    [Fact]
    public void Sequence_numbers_come_round()
    {
        PingTally tally = new();
        for (int i = 0; i < 70_000; i++)
        {
            ushort sequence = tally.Send(i + 1);
            Assert.Equal((ushort)i, sequence);
            Assert.Equal(ReplyKind.Answer, tally.Receive(sequence, i + 2, intact: true, out _));
        }

        Assert.Equal(70_000ul, tally.Received);
    }
}
