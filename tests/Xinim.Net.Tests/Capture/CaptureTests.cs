using System.Buffers.Binary;
using CsCheck;
using Xinim.Net.Capture;
using Xinim.Net.Ports;
using Xinim.TestKit.Net;

namespace Xinim.Net.Tests.Capture;

public sealed class CaptureTests
{
    private static readonly int[] Types = [0x0800, 0x0806, 0x86dd, 0x8100, 0x8864, 0x88cc, 0x0000];

    [Fact]
    public void A_capture_file_reads_back()
    {
        using MemoryStream stream = new();
        PcapWriter writer = new(stream);
        DateTimeOffset time = DateTimeOffset.UnixEpoch.AddSeconds(1_700_000_000).AddTicks(1_234_567);
        byte[][] frames = [[1, 2, 3], [], new byte[300_000]];
        foreach (byte[] frame in frames) writer.Write(frame, time);
        ReadOnlySpan<byte> file = stream.ToArray();
        Assert.Equal([0x4d, 0x3c, 0xb2, 0xa1, 2, 0, 4, 0], file[..8].ToArray());
        Assert.Equal((262_144u, 1u), (Word(file[16..]), Word(file[20..])));
        file = file[24..];
        foreach (byte[] frame in frames)
        {
            int kept = Math.Min(frame.Length, PcapWriter.SnapLength);
            Assert.Equal((1_700_000_000u, 123_456_700u, (uint)kept, (uint)frame.Length), (Word(file), Word(file[4..]), Word(file[8..]), Word(file[12..])));
            Assert.Equal(frame[..kept], file.Slice(16, kept).ToArray());
            file = file[(16 + kept)..];
        }

        Assert.Equal(0, file.Length);

        static uint Word(ReadOnlySpan<byte> bytes) => BinaryPrimitives.ReadUInt32LittleEndian(bytes);
    }

    [Fact]
    public void Frames_are_described_in_one_line()
    {
        Assert.Equal("52:55:0a:00:02:02 > ff:ff:ff:ff:ff:ff ARP 42 who has 10.0.2.15? tell 10.0.2.2", FrameSummary.Describe(FakeHost.ArpRequest("10.0.2.15")));
        Assert.Equal("00:00:00:00:00:00 > 00:00:00:00:00:00 0x88b5 16", FrameSummary.Describe([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x88, 0xb5, 1, 2]));
        Assert.Equal("raw 3 010203", FrameSummary.Describe([1, 2, 3]));
        Assert.Equal("raw 0 ", FrameSummary.Describe([]));
    }

    [Fact]
    public void Garbage_is_described_too() => Gen.Select(Gen.Byte.Array[0, 200], Gen.Int[0, 6].Select(i => Types[i])).Sample((bytes, type) =>
    {
        if (bytes.Length >= 15) (bytes[12], bytes[13], bytes[14]) = ((byte)(type >> 8), (byte)type, type == 0x86dd ? (byte)0x60 : (byte)0x45);
        string line = FrameSummary.Describe(bytes);
        Assert.DoesNotContain('\n', line);
        Assert.NotEqual("", line);
    });

    [Fact]
    public void Large_frames_are_put_together()
    {
        byte[] large = [.. Enumerable.Range(0, 5000).Select(i => (byte)i)];
        using FakeDaemon daemon = new(new Wire(_ => [[1, 2], large, [3]]));
        using NetworkPort port = NetworkPort.Open("net0", new NetworkPortOptions { TxBuffers = 2, RxBuffers = 16 }, daemon.Socket);
        Assert.True(port.TryRent(out uint slot));
        port.Send(slot, 60);
        port.Flush();
        FrameReader reader = new(port);
        List<byte[]> frames = [];
        while (frames.Count < 3 && (reader.Read(frame => frames.Add(frame.ToArray())) || port.Wait(TimeSpan.FromSeconds(10))))
        {
        }

        Assert.Equal([[1, 2], large, [3]], frames);
    }
}
