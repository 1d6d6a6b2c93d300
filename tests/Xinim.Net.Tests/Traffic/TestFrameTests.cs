using CsCheck;
using Xinim.Ipc.Protocols;
using Xinim.Net.Traffic;

namespace Xinim.Net.Tests.Traffic;

public sealed class TestFrameTests
{
    private static byte[] Stamped(int size, ulong sequence)
    {
        byte[] frame = new byte[size];
        TestFrame.Prepare(frame, TestFrame.DefaultDestination, MacAddress.From([2, 0, 0, 0, 0, 1]), 99);
        TestFrame.Stamp(frame, sequence);
        return frame;
    }

    [Fact]
    public void Reads_what_was_stamped() => Gen.Select(Gen.Int[TestFrame.MinBytes, TestFrame.MaxBytes], Gen.ULong).Sample((size, number) =>
    {
        Assert.Equal(TestFrameKind.Stamped, TestFrame.Read(Stamped(size, number), out uint run, out ulong sequence));
        Assert.Equal((99u, number), (run, sequence));
    });

    [Fact]
    public void Any_changed_bit_behind_the_header_is_noticed()
    {
        byte[] frame = Stamped(60, 5);
        for (int bit = 14 * 8; bit < frame.Length * 8; bit++)
        {
            frame[bit / 8] ^= (byte)(1 << (bit % 8));
            Assert.NotEqual(TestFrameKind.Stamped, TestFrame.Read(frame, out _, out _));
            frame[bit / 8] ^= (byte)(1 << (bit % 8));
        }
    }

    [Fact]
    public void Knows_its_own_frames_only()
    {
        byte[] frame = new byte[60];
        TestFrame.Prepare(frame, TestFrame.DefaultDestination, default, 1);
        Assert.Equal(TestFrameKind.Unstamped, TestFrame.Read(frame, out _, out _));
        Assert.Equal("02:58:49:4e:49:4d", MacAddress.From(frame).ToString());
        Assert.Equal(TestFrameKind.Other, TestFrame.Read(new byte[60], out _, out _));
        Gen.Byte.Array[0, 100].Sample(garbage => Assert.NotEqual(TestFrameKind.Stamped, TestFrame.Read(garbage, out _, out _)));
    }
}
