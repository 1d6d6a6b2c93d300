using Xinim.Faults.Traffic;
using Xinim.Ipc.Protocols;

namespace Xinim.Faults.Tests;

/// <summary>Frames in a stream of bytes, whatever pieces it comes in and whatever was done to it.</summary>
public sealed class FrameFinderTests
{
    private const int Frames = 50;
    private readonly FrameStream _stream = new(new object(), MacAddress.From("\x02OUTW\x01"u8), MacAddress.From("\x02PEER\x01"u8), 2);

    [Theory]
    [InlineData(1)]
    [InlineData(52)]
    [InlineData(100_000)]
    public void All_are_found_in_any_pieces(int piece)
    {
        Find(Write(), piece);
        Assert.Equal((ulong)Frames, _stream.Counts.Good);
        Assert.Equal((0ul, 0ul, 0ul), (_stream.Counts.Damaged, _stream.Counts.Lost, _stream.Counts.Duplicates));
    }

    [Fact]
    public void A_damaged_one_is_caught_and_those_behind_it_are_found()
    {
        List<byte> bytes = Write();
        bytes[FrameFinder.HeadBytes + 40] ^= 1;
        Find(bytes, 512);
        Assert.Equal((Frames - 1ul, 1ul, 1ul), (_stream.Counts.Good, _stream.Counts.Damaged, _stream.Counts.Lost));
    }

    [Fact]
    public void Bytes_that_are_missing_cost_their_frame()
    {
        List<byte> bytes = Write();
        bytes.RemoveRange(FrameFinder.HeadBytes + 10, 7);
        Find(bytes, 512);
        Assert.Equal((Frames - 1ul, 1ul), (_stream.Counts.Good, _stream.Counts.Lost));
    }

    [Fact]
    public void Bytes_that_come_again_are_seen()
    {
        List<byte> bytes = Write();
        int first = FrameFinder.HeadBytes + FrameStream.SizeOf(0);
        bytes.InsertRange(first, bytes[..first]);
        Find(bytes, 512);
        Assert.Equal(((ulong)Frames, 1ul), (_stream.Counts.Good, _stream.Counts.Duplicates));
    }

    private List<byte> Write()
    {
        List<byte> bytes = [];
        byte[] frame = new byte[FrameFinder.HeadBytes + 2048];
        for (int i = 0; i < Frames; i++)
        {
            int length = _stream.WriteNext(frame.AsSpan(FrameFinder.HeadBytes), i);
            FrameFinder.WriteHead(frame, length);
            bytes.AddRange(frame[..(FrameFinder.HeadBytes + length)]);
        }

        return bytes;
    }

    private void Find(List<byte> bytes, int piece)
    {
        FrameFinder finder = new();
        foreach (byte[] some in bytes.Chunk(piece)) finder.Add(some, frame => _stream.Check(frame));
    }
}
