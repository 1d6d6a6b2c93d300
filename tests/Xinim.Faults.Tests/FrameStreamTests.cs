using System.Diagnostics;
using Xinim.Faults.Traffic;
using Xinim.Ipc.Protocols;
using Xinim.Net.Traffic;

namespace Xinim.Faults.Tests;

/// <summary>Whatever can happen to a frame on its way is told apart: what cannot be seen here is seen nowhere.</summary>
public sealed class FrameStreamTests
{
    private static readonly MacAddress s_a = MacAddress.From("\x02STAT1"u8);
    private static readonly MacAddress s_b = MacAddress.From("\x02STAT2"u8);

    private readonly FrameStream _stream = new(new object(), s_a, s_b, run: 6);

    [Fact]
    public void Frames_that_arrive_as_they_were_sent_are_good()
    {
        for (int i = 0; i < 3000; i++) Assert.True(_stream.Check(Next()));
        Assert.Equal(new StreamCounts(3000, 3000, 0, 0, 0, 0, 0), _stream.Counts);
    }

    [Fact]
    public void Each_flipped_bit_behind_the_addresses_is_damage()
    {
        byte[] frame = Next();
        for (int bit = 12 * 8; bit < frame.Length * 8; bit++)
        {
            frame[bit / 8] ^= (byte)(1 << (bit % 8));
            Assert.False(_stream.Check(frame));
            frame[bit / 8] ^= (byte)(1 << (bit % 8));
        }

        Assert.Equal(((ulong)(frame.Length - 12) * 8, 0ul, 0ul), (_stream.Counts.Damaged, _stream.Counts.Forged, _stream.Counts.Good));
    }

    [Fact]
    public void Wrong_bytes_with_a_right_checksum_are_forged()
    {
        byte[] frame = Next();
        frame[^1] ^= 1;
        TestFrame.Stamp(frame, 0);
        Assert.False(_stream.Check(frame));
        byte[] unsent = Next();
        TestFrame.Stamp(unsent, 77);
        Assert.False(_stream.Check(unsent));
        Assert.Equal((2ul, 0ul), (_stream.Counts.Forged, _stream.Counts.Good));
    }

    [Fact]
    public void Another_address_is_damage_that_any_receiver_sees()
    {
        byte[] misdirected = Next();
        misdirected[3] ^= 1;
        Assert.False(_stream.Check(misdirected));
        Assert.Equal((1ul, 0ul, 0ul), (_stream.Counts.Damaged, _stream.Counts.Forged, _stream.Counts.Good));
    }

    [Fact]
    public void A_cut_frame_is_damage_and_an_empty_one_too()
    {
        byte[] frame = Next();
        Assert.False(_stream.Check(frame.AsSpan(0, frame.Length - 1)));
        Assert.False(_stream.Check(default));
        Assert.Equal(2ul, _stream.Counts.Damaged);
    }

    [Fact]
    public void Repetition_is_counted()
    {
        byte[] frame = Next();
        Assert.True(_stream.Check(frame));
        Assert.False(_stream.Check(frame));
        Assert.Equal((1ul, 1ul), (_stream.Counts.Good, _stream.Counts.Duplicates));
    }

    [Fact]
    public void A_gap_is_silent_loss_unless_a_fault_was_being_dealt_with()
    {
        _stream.Check(Next());
        _ = Next();
        _stream.Check(Next());
        Assert.Equal((1ul, 1ul), (_stream.Counts.Lost, _stream.Counts.LostSilently));
        _stream.BeginOutage(Stopwatch.GetTimestamp());
        _ = Next();
        _stream.EndOutage(Stopwatch.GetTimestamp());
        _stream.Check(Next());
        Assert.Equal((2ul, 1ul), (_stream.Counts.Lost, _stream.Counts.LostSilently));
        _ = Next();
        _stream.Check(Next());
        Assert.Equal((3ul, 2ul), (_stream.Counts.Lost, _stream.Counts.LostSilently));
    }

    [Fact]
    public void Frames_of_an_earlier_client_are_nothing_and_of_the_other_direction_damage()
    {
        FrameStream earlier = new(new object(), s_a, s_b, run: 4), other = new(new object(), s_b, s_a, run: 7);
        Assert.False(_stream.Check(Next(earlier)));
        Assert.Equal(0ul, _stream.Counts.Damaged);
        Assert.False(_stream.Check(Next(other)));
        Assert.Equal(1ul, _stream.Counts.Damaged);
    }

    private byte[] Next() => Next(_stream);

    private static byte[] Next(FrameStream stream)
    {
        byte[] buffer = new byte[2048];
        return buffer[..stream.WriteNext(buffer, Stopwatch.GetTimestamp())];
    }
}
