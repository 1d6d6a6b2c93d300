using System.Buffers.Binary;
using System.Diagnostics;
using System.Net.Sockets;
using Microsoft.Win32.SafeHandles;
using Xinim.Vfio.Remote;
using Xunit;

namespace Xinim.Vfio.Tests.Remote;

/// <summary>Framing, against a peer that writes its bytes by hand.</summary>
public sealed class RemoteLinkTests : IDisposable
{
    private readonly RemoteLink _link;
    private readonly SafeFileHandle _peerHandle;
    private readonly Socket _peer;

    public RemoteLinkTests()
    {
        (SafeFileHandle link, _peerHandle) = RemoteLink.CreateSocketPair();
        _link = new RemoteLink(link, "remote:fake", TimeSpan.FromMilliseconds(300));
        _peer = new Socket(new SafeSocketHandle(_peerHandle.DangerousGetHandle(), ownsHandle: false)) { ReceiveTimeout = 5000 };
    }

    public void Dispose()
    {
        _link.Dispose();
        _peer.Dispose();
        _peerHandle.Dispose();
    }

    [Fact]
    public void Register_read_is_one_message_of_the_wire_format()
    {
        _peer.Send(WireBytes.Reply(0x1122_3344_5566_7788));
        Assert.Equal(0x1122_3344_5566_7788u, _link.ReadBar(0xE000_0008, 8, isMemory: true));
        byte[] sent = Receive();
        Assert.Equal(40, sent.Length);
        Assert.Equal(5, BinaryPrimitives.ReadInt32LittleEndian(sent));
        Assert.Equal(24u, BinaryPrimitives.ReadUInt64LittleEndian(sent.AsSpan(8)));
        Assert.Equal(0xE000_0008u, BinaryPrimitives.ReadUInt64LittleEndian(sent.AsSpan(16)));
        Assert.Equal([8, 0, 0, 0, 1, 0, 0, 0], sent[32..]);
    }

    [Fact]
    public void Io_write_and_config_write_carry_their_values()
    {
        _peer.Send([.. WireBytes.Reply(0), .. WireBytes.Reply(0)]);
        _link.WriteBar(0xC004, 2, 0xBEEF, isMemory: false);
        byte[] sent = Receive();
        Assert.Equal(4, sent[0]);
        Assert.Equal([0xEF, 0xBE, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0], sent[24..]);
        _link.WriteConfig(0x10, 4, 0xE000_0000);
        Assert.Equal([2, 0, 0, 0, 0, 0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0, 0xE0, 4, 0, 0, 0], Receive());
    }

    [Fact]
    public void Reset_is_answered_without_a_value()
    {
        _peer.Send(WireBytes.Message(WireBytes.Ret, 0));
        _link.ResetDevice();
        _peer.Send(WireBytes.Reply(0));
        Assert.Contains("8 bytes instead of 0", Assert.Throws<DeviceFaultException>(_link.ResetDevice).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Reply_in_pieces_is_put_together()
    {
        byte[] reply = WireBytes.Reply(42);
        _peer.Send(reply, 0, 3, SocketFlags.None);
        Thread sender = new(() =>
        {
            // The request is there, so the link is reading: each byte wakes it or joins those before.
            _peer.Receive(new byte[256]);
            for (int i = 3; i < reply.Length; i++)
            {
                _peer.Send(reply, i, 1, SocketFlags.None);
                Thread.Yield();
            }
        });
        sender.Start();
        Assert.Equal(42u, _link.ReadBar(0xE000_0000, 4, true));
        sender.Join();
    }

    [Theory]
    [InlineData(5, 8ul, "command 5 instead of RET")]
    [InlineData(-1, 8ul, "command -1 instead of RET")]
    [InlineData(1, 0ul, "0 bytes instead of 8")]
    [InlineData(1, 16ul, "16 bytes instead of 8")]
    [InlineData(1, ulong.MaxValue, "18446744073709551615 bytes instead of 8")]
    public void Hostile_header_is_a_fault(int command, ulong size, string complaint)
    {
        _peer.Send(WireBytes.Message(command, size, new byte[8]));
        DeviceFaultException fault = Assert.Throws<DeviceFaultException>(() => _link.ReadBar(0xE000_0000, 4, true));
        Assert.Contains(complaint, fault.Message, StringComparison.Ordinal);
        Assert.Contains("out of step", Assert.Throws<DeviceFaultException>(() => _link.ReadBar(0xE000_0000, 4, true)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Silence_is_a_named_timeout()
    {
        DeviceFaultException fault = Assert.Throws<DeviceFaultException>(() => _link.ReadBar(0xE000_0010, 4, true));
        Assert.Contains("remote:fake: BarRead at 0xe0000010: no reply in time", fault.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Trickle_of_bytes_does_not_stretch_the_timeout()
    {
        byte[] reply = WireBytes.Reply(42);
        using ManualResetEventSlim stop = new();
        Thread sender = new(() =>
        {
            for (int i = 0; i < reply.Length - 1 && !stop.Wait(100); i++) _peer.Send(reply, i, 1, SocketFlags.None);
        });
        sender.Start();
        long start = Stopwatch.GetTimestamp();
        Assert.Throws<DeviceFaultException>(() => _link.ReadBar(0xE000_0000, 4, true));
        Assert.InRange(Stopwatch.GetElapsedTime(start).TotalMilliseconds, 250, 1500);
        stop.Set();
        sender.Join();
    }

    [Fact]
    public void Truncated_reply_and_closed_socket_are_faults()
    {
        _peer.Send(WireBytes.Reply(42)[..20]);
        _peer.Shutdown(SocketShutdown.Both);
        Assert.Contains("has ended", Assert.Throws<DeviceFaultException>(() => _link.ReadBar(0xE000_0000, 4, true)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Full_socket_is_a_timeout_and_not_a_hang()
    {
        using Xinim.Ipc.Memory.SharedRegion page = Xinim.Ipc.Memory.SharedRegion.Create("test", 4096, Xinim.Ipc.Memory.PageChoice.Ordinary);
        DeviceFaultException fault = Assert.Throws<DeviceFaultException>(() =>
        {
            for (int i = 0; i < 100_000; i++) _link.SetIrqFds(page.Handle, page.Handle);
        });
        Assert.Contains("SetIrqFd", fault.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(15)]
    [InlineData(16)]
    [InlineData(20)]
    [InlineData(24)]
    public void Draining_discards_the_stale_reply_or_what_is_left_of_it(int left)
    {
        foreach (byte[] stale in (byte[][])[WireBytes.Reply(0x8086), WireBytes.Reply(0x100E8086), WireBytes.Reply(1), WireBytes.Reply(8)])
        {
            _peer.Send([.. stale[^left..], .. WireBytes.Reply(0x8086), .. WireBytes.Reply(0x100E8086)]);
            _link.DrainStaleReply();
            _peer.Send(WireBytes.Reply(7));
            Assert.Equal(7u, _link.ReadBar(0xE000_0000, 4, true));
        }
    }

    [Fact]
    public void Draining_discards_a_stale_reset_reply_and_ends_being_out_of_step()
    {
        Assert.Throws<DeviceFaultException>(() => _link.ReadBar(0xE000_0000, 4, true));
        _peer.Send([.. WireBytes.Message(WireBytes.Ret, 0), .. WireBytes.Reply(0x8086), .. WireBytes.Reply(0x100E8086)]);
        _link.DrainStaleReply();
        _peer.Send(WireBytes.Reply(7));
        Assert.Equal(7u, _link.ReadBar(0xE000_0000, 4, true));
    }

    [Fact]
    public void Draining_gives_up_on_a_peer_that_babbles_or_says_nothing()
    {
        Assert.Contains("no reply in time", Assert.Throws<DeviceFaultException>(_link.DrainStaleReply).Message, StringComparison.Ordinal);
        _peer.Send(new byte[80_000]);
        Assert.Contains("stale bytes", Assert.Throws<DeviceFaultException>(_link.DrainStaleReply).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Disposed_link_refuses()
    {
        _link.Dispose();
        Assert.Throws<ObjectDisposedException>(() => _link.ReadBar(0xE000_0000, 4, true));
    }

    private byte[] Receive()
    {
        byte[] buffer = new byte[256];
        return buffer[.._peer.Receive(buffer)];
    }
}
