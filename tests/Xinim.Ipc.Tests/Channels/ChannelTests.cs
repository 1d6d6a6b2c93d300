using Microsoft.Win32.SafeHandles;
using Xinim.Ipc.Channels;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Native;
using Xinim.Ipc.Tests.Native;
using Xunit;

namespace Xinim.Ipc.Tests.Channels;

/// <summary>Alone in its collection: it counts the descriptors of the process.</summary>
[Collection(nameof(DescriptorCountingCollection))]
public sealed class ChannelTests : IDisposable
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);
    private readonly Channel _near, _far;

    public ChannelTests() => (_near, _far) = Channel.CreatePair();

    public void Dispose()
    {
        _near.Dispose();
        _far.Dispose();
    }

    [Fact]
    public void A_message_arrives_as_it_was_sent()
    {
        _near.Send(new MessageHeader(3, 4, 5), 0x1122334455667788UL);
        using ChannelMessage message = _far.Receive(Limit);
        Assert.Equal(new MessageHeader(3, 4, 5), message.Header);
        Assert.Equal(0x1122334455667788UL, message.Get<ulong>());
        Assert.Equal(0, message.HandleCount);
    }

    [Fact]
    public void Borders_and_order_are_kept()
    {
        for (uint i = 0; i < 10; i++) _near.SendBytes(new MessageHeader(i, 0, 0), new byte[i], default);
        for (uint i = 0; i < 10; i++)
        {
            using ChannelMessage message = _far.Receive(Limit);
            Assert.Equal((i, (int)i), (message.Header.Type, message.Payload.Length));
        }

        Assert.True(_far.TryReceive(out ChannelMessage? none));
        Assert.Null(none);
    }

    [Fact]
    public void Text_arrives_as_text()
    {
        _near.SendText(default, "naïve ✓");
        using ChannelMessage message = _far.Receive(Limit);
        Assert.Equal("naïve ✓", message.Text);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(Channel.MaxPayload - 1)]
    [InlineData(Channel.MaxPayload)]
    public void Payloads_up_to_the_limit_arrive_whole(int length)
    {
        byte[] payload = new byte[length];
        new Random(1).NextBytes(payload);
        _near.SendBytes(default, payload, default);
        using ChannelMessage message = _far.Receive(Limit);
        Assert.Equal(payload, message.Payload);
    }

    [Fact]
    public void More_than_the_limits_is_not_sent()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => _near.SendBytes(default, new byte[Channel.MaxPayload + 1], default));
        SafeFileHandle[] handles = [.. Enumerable.Repeat(_near.Handle, Channel.MaxHandles + 1)];
        Assert.Throws<ArgumentOutOfRangeException>(() => _near.Send(default, handles));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(Channel.MaxHandles)]
    public void Descriptors_arrive_in_order_and_stay_the_senders(int count)
    {
        SharedRegion[] regions = [.. Enumerable.Range(0, count).Select(i => SharedRegion.Create($"region {i}", 4096, PageChoice.Ordinary))];
        for (int i = 0; i < count; i++) regions[i].At<int>(0) = i;
        _near.Send(default, [.. regions.Select(region => region.Handle)]);
        using ChannelMessage message = _far.Receive(Limit);
        Assert.Equal(count, message.HandleCount);
        for (int i = 0; i < count; i++)
        {
            using SharedRegion received = SharedRegion.Open(message.TakeHandle(i), 4096, RegionAccess.Read);
            Assert.Equal(i, received.At<int>(0));
            Assert.True(IsCloseOnExec(received.Handle));
            Assert.False(regions[i].Handle.IsClosed);
        }

        foreach (SharedRegion region in regions) region.Dispose();
    }

    [Fact]
    public void A_handle_is_taken_once_and_by_a_number_that_is_there()
    {
        _near.Send(default, _near.Handle);
        using ChannelMessage message = _far.Receive(Limit);
        message.TakeHandle(0).Dispose();
        Assert.Throws<ChannelException>(() => message.TakeHandle(0));
        Assert.Throws<ChannelException>(() => message.TakeHandle(1));
        Assert.Throws<ChannelException>(() => message.TakeHandle(-1));
    }

    [Fact]
    public void Descriptors_that_nobody_takes_are_closed_with_the_message()
    {
        int before = TestNative.CountDescriptors();
        for (int i = 0; i < 50; i++)
        {
            _near.Send(default, _near.Handle, _far.Handle);
            _far.Receive(Limit).Dispose();
        }

        Assert.Equal(before, TestNative.CountDescriptors());
    }

    [Theory]
    [InlineData(0)]
    [InlineData(7)]
    [InlineData(8)]
    public void A_payload_shorter_than_asked_for_is_refused(int length)
    {
        _near.SendBytes(default, new byte[length], default);
        using ChannelMessage message = _far.Receive(Limit);
        Assert.Equal(length < 8, Record.Exception(() => message.Get<ulong>()) is ChannelException);
    }

    [Theory]
    [InlineData(0, 2, true)]
    [InlineData(8, 1, true)]
    [InlineData(16, 0, true)]
    [InlineData(0, 3, false)]
    [InlineData(8, 2, false)]
    [InlineData(17, 0, false)]
    [InlineData(-1, 1, false)]
    [InlineData(0, -1, false)]
    [InlineData(int.MaxValue, int.MaxValue, false)]
    public void Lists_in_a_payload_are_checked(int offset, int count, bool fits)
    {
        _near.SendBytes(default, new byte[16], default);
        using ChannelMessage message = _far.Receive(Limit);
        Assert.Equal(fits, Record.Exception(() => message.GetMany<ulong>(offset, count).Length) is not ChannelException);
    }

    [Fact]
    public void What_was_sent_before_the_end_is_read_before_the_end()
    {
        _near.Send(new MessageHeader(1, 0, 0));
        _near.Dispose();
        Assert.True(_far.TryReceive(out ChannelMessage? last));
        Assert.Equal(1u, last!.Header.Type);
        Assert.False(_far.TryReceive(out _));
        Assert.Contains("closed", Assert.Throws<ChannelException>(() => _far.Receive(Limit)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Sending_to_a_closed_peer_says_so()
    {
        _far.Dispose();
        Assert.Contains("gone", Assert.Throws<ChannelException>(() => _near.Send(new MessageHeader(1, 0, 0))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Sending_to_a_peer_that_does_not_read_fails_instead_of_waiting()
    {
        ChannelException exception = Assert.Throws<ChannelException>(() =>
        {
            for (int i = 0; i < 100_000; i++) _near.SendBytes(default, new byte[1024], default);
        });
        Assert.Contains("does not read", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Receiving_gives_up_when_the_time_is_over()
    {
        Assert.Contains("did not answer", Assert.Throws<ChannelException>(() => _far.Receive(TimeSpan.Zero)).Message, StringComparison.Ordinal);
        Assert.Contains("did not answer", Assert.Throws<ChannelException>(() => _far.Receive(TimeSpan.FromMilliseconds(1))).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(15)]
    public void A_message_shorter_than_its_header_is_refused(int length)
    {
        TestNative.SendDescriptors(_near.Handle, new byte[length], []);
        Assert.Contains("less than its header", Assert.Throws<ChannelException>(() => _far.TryReceive(out _)).Message, StringComparison.Ordinal);
        AssertStillWorks();
    }

    [Fact]
    public void A_message_longer_than_allowed_is_refused()
    {
        TestNative.SendDescriptors(_near.Handle, new byte[16 + Channel.MaxPayload + 1], []);
        Assert.Contains("longer", Assert.Throws<ChannelException>(() => _far.TryReceive(out _)).Message, StringComparison.Ordinal);
        AssertStillWorks();
    }

    [Fact]
    public void Descriptors_of_a_refused_message_are_closed()
    {
        int before = TestNative.CountDescriptors();
        for (int i = 0; i < 20; i++)
        {
            TestNative.SendDescriptors(_near.Handle, new byte[1], [.. Enumerable.Repeat(_near.Handle, 3)]);
            Assert.Throws<ChannelException>(() => _far.TryReceive(out _));
        }

        Assert.Equal(before, TestNative.CountDescriptors());
    }

    [Theory]
    [InlineData(Channel.MaxHandles + 1)]
    [InlineData(200)]
    public void More_descriptors_than_allowed_are_refused_and_closed(int count)
    {
        int before = TestNative.CountDescriptors();
        TestNative.SendDescriptors(_near.Handle, new byte[16], [.. Enumerable.Repeat(_near.Handle, count)]);
        Assert.Contains("descriptors", Assert.Throws<ChannelException>(() => _far.TryReceive(out _)).Message, StringComparison.Ordinal);
        Assert.Equal(before, TestNative.CountDescriptors());
        AssertStillWorks();
    }

    private void AssertStillWorks()
    {
        _near.Send(new MessageHeader(77, 0, 0));
        using ChannelMessage message = _far.Receive(Limit);
        Assert.Equal(77u, message.Header.Type);
    }

    private static bool IsCloseOnExec(SafeFileHandle handle)
    {
        // "flags: 02000002", octal, O_CLOEXEC being 02000000 (proc_pid_fdinfo(5)).
        string flags = File.ReadLines($"/proc/self/fdinfo/{Descriptor.Number(handle)}").Single(line => line.StartsWith("flags:", StringComparison.Ordinal));
        return (Convert.ToInt32(flags[6..].Trim(), 8) & 0x80000) != 0;
    }
}

/// <summary>No other test runs beside those that count descriptors.</summary>
[CollectionDefinition(nameof(DescriptorCountingCollection), DisableParallelization = true)]
public sealed class DescriptorCountingCollection;
