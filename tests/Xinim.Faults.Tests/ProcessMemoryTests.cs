using System.Runtime.InteropServices;
using Xinim.Faults.Faults;
using Xinim.Faults.Processes;
using Xinim.TestPeer;

namespace Xinim.Faults.Tests;

/// <summary>Bits are flipped where they are said to be, and nowhere else.</summary>
public sealed class ProcessMemoryTests
{
    private static readonly string[] s_maps =
    [
        "55d000000000-55d000100000 r--p 00000000 fe:00 12 /opt/xinim/xinim-driver",
        "55d000100000-55d000200000 r-xp 00100000 fe:00 12 /opt/xinim/xinim-driver",
        "55d000200000-55d000240000 rw-p 00200000 fe:00 12 /opt/xinim/xinim-driver",
        "55d001000000-55d001021000 rw-p 00000000 00:00 0 [heap]",
        "7f0000000000-7f0000200000 rw-p 00000000 00:00 0",
        "7f0000300000-7f0000400000 r-xp 00000000 fe:00 13 /usr/lib/libc.so.6",
        "7f0000500000-7f0000600000 rw-s 00000000 00:01 44 /memfd:xinim-work-net0 (deleted)",
        "7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0 [stack]",
        "7ffc00100000-7ffc00102000 r-xp 00000000 00:00 0 [vdso]",
    ];

    [Theory]
    [InlineData(Segment.Code, "55d000100000")]
    [InlineData(Segment.Data, "55d000200000")]
    [InlineData(Segment.Heap, "55d001000000 7f0000000000")]
    [InlineData(Segment.Stack, "7ffc00000000")]
    internal void Segments_are_told_apart(Segment segment, string expected)
    {
        Mapping[] maps = [.. Mapping.Parse(s_maps)];
        Assert.Equal(expected, string.Join(' ', new BitFlip(segment, 1).Choose(maps).Select(mapping => $"{mapping.Start:x}")));
    }

    [Fact]
    public void No_process_group_is_signalled()
    {
        Assert.False(Signals.Send(0, Ipc.Processes.PosixSignalNumber.Continue));
        Assert.False(Signals.Send(-1, Ipc.Processes.PosixSignalNumber.Continue));
    }

    [Fact]
    public void A_flip_changes_one_bit()
    {
        byte[] memory = GC.AllocateArray<byte>(64, pinned: true);
        ulong address = (ulong)Marshal.UnsafeAddrOfPinnedArrayElement(memory, 0);
        using ProcessMemory own = new(Environment.ProcessId);
        own.Flip(address + 17, 3);
        Assert.Equal(8, memory[17]);
        Assert.Equal(63, memory.Count(value => value == 0));
        own.Write32(address, 0x1234_5678);
        Assert.Equal(0x1234_5678u, own.Read32(address));
        Assert.Contains(address & ~0xffful, own.Maps.Where(mapping => address >= mapping.Start && address < mapping.End).SelectMany(own.TouchedPages));
    }

    [Fact]
    public void Code_of_another_process_can_be_flipped_and_a_dead_one_is_an_error()
    {
        using PeerProcess peer = PeerProcess.Start("hang");
        using (peer.Channel.Receive(PeerProcess.Limit))
        {
            using ProcessMemory memory = new(peer.Process.Pid);
            Mapping code = memory.Maps.First(mapping => mapping.IsExecutable && !mapping.IsWritable);
            uint before = memory.Read32(code.Start);
            memory.Flip(code.Start, 0);
            Assert.Equal(before ^ 1, memory.Read32(code.Start));
            peer.Process.Kill();
            Assert.Throws<IOException>(() => memory.Flip(code.Start, 0));
            // Between a read and a write the process can end, and then a write moves nothing.
            Assert.Throws<IOException>(() => memory.Write32(code.Start, 0));
        }
    }
}
