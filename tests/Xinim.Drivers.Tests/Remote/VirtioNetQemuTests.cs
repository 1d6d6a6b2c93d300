using Xinim.Drivers.Network.Virtio;
using Xinim.Ipc.Protocols;
using Xinim.TestKit;
using Xinim.TestKit.Remote;
using Xinim.Vfio;
using Xunit;

namespace Xinim.Drivers.Tests.Remote;

/// <summary>The driver on QEMU's own virtio-net, split and packed, each queue feature on and off; QEMU's names of the cases where it has them.</summary>
[Trait("needs", "qemu")]
public sealed class VirtioNetQemuTests
{
    /// <summary>Properties of the model.</summary>
    public static TheoryData<string> Devices =>
    [
        "packed=off", "packed=on", "packed=off,event_idx=off", "packed=on,event_idx=off", "packed=off,indirect_desc=off", "packed=on,indirect_desc=off",
        "mrg_rxbuf=off", "rx_queue_size=1024,tx_queue_size=1024", "ctrl_vq=off", "csum=off,guest_csum=off", "status=off",
    ];

    [Theory]
    [MemberData(nameof(Devices))]
    public void Basic_send_receive(string device)
    {
        using QemuNic nic = Started(device);
        const int batch = 32;
        for (int done = 0; done < 1024; done += batch)
        {
            for (int i = 0; i < batch; i++)
            {
                nic.Client.Send(Packets.Plain(64 + (i * 40), done + i), pieces: i % 5 == 0 ? 50 : 2048);
                nic.Inject(Packets.Plain(70 + (i * 40), done + i));
            }

            List<byte[]> received = Take(nic, batch);
            for (int i = 0; i < batch; i++)
            {
                Assert.Equal(Packets.Plain(64 + (i * 40), done + i), nic.NextSent());
                Assert.Equal(Packets.Plain(70 + (i * 40), done + i), received[i]);
            }

            nic.PollUntil(() => !nic.Driver.TxBusy, "the last buffer's use");
            Assert.All(nic.Client.TakeCompleted(), buffer => Assert.Equal(NetFlags.None, buffer.Flags));
        }

        Assert.Equal(0, nic.Client.TxOutstanding);
        Assert.Equal((1024ul, 1024ul), (nic.Driver.Statistics.TxFrames, nic.Driver.Statistics.RxFrames));
    }

    [Fact]
    public void What_the_device_says_of_itself()
    {
        using QemuNic nic = New("host_mtu=9000,speed=2500,duplex=full");
        NetworkDeviceInfo info = nic.Driver.Start();
        Assert.Equal("52:54:00:12:34:56", info.Mac.ToString());
        Assert.Equal(new LinkState(1, 2500, 1), info.Link);
        Assert.Equal(9018u, info.MaxFrame);
        Assert.Equal(1u, info.SumWithLength);
    }

    [Theory]
    [InlineData("iommu_platform=off", "ACCESS_PLATFORM")]
    public void A_device_that_cannot_be_used_says_why(string device, string reason)
    {
        using QemuNic nic = New(device);
        DeviceFaultException fault = Assert.Throws<DeviceFaultException>(() => nic.Driver.Start());
        Assert.Contains(reason, fault.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', fault.Message);
    }

    [Theory]
    [InlineData("packed=off")]
    [InlineData("packed=on")]
    [InlineData("packed=off,event_idx=off")]
    public void Rx_interrupt(string device)
    {
        using QemuNic nic = Started(device);
        nic.Inject(Packets.Plain(60));
        _ = Take(nic, 1);
        nic.Driver.OnInterrupt(0);
        nic.Interrupts.Acknowledge(0);
        for (int i = 0; i < 5; i++)
        {
            nic.Driver.ArmInterrupts();
            nic.Poll();
            Assert.False(nic.AwaitInterrupt(20), $"nothing came, round {i}");
            nic.Inject(Packets.Plain(60, i));
            Assert.True(nic.AwaitInterrupt(5000), $"a frame came, round {i}");
            nic.Driver.OnInterrupt(0);
            nic.Interrupts.Acknowledge(0);
            Assert.Equal(Packets.Plain(60, i), Assert.Single(Take(nic, 1)));
        }
    }

    [Theory]
    [InlineData("packed=off")]
    [InlineData("packed=on")]
    [InlineData("mrg_rxbuf=off")]
    public void Jumbo_frames_over_several_buffers(string device)
    {
        using QemuNic nic = Started(device);
        nic.Driver.SetFilters(new NetworkFilters { MaxFrame = 9018 });
        // Those that were posted for small frames are used up first.
        foreach (int bytes in (int[])[60, .. Enumerable.Repeat(60, 256), 2048, 2049, 4096, 9018])
        {
            nic.Inject(Packets.Plain(bytes, bytes));
            Assert.Equal(Packets.Plain(bytes, bytes), Assert.Single(Take(nic, 1)));
            nic.Client.Send(Packets.Plain(bytes, bytes));
            nic.Poll();
            Assert.Equal(Packets.Plain(bytes, bytes), nic.NextSent());
            _ = nic.Client.TakeCompleted();
        }
    }

    [Theory]
    [InlineData("packed=off")]
    [InlineData("packed=on")]
    public void Frames_over_several_of_the_queues_buffers(string device)
    {
        using QemuNic nic = New(device);
        Assert.Equal(NetworkWishes.LargeReceive, nic.Driver.Start().Able);
        nic.Driver.Prepare(1, NetworkWishes.LargeReceive);
        nic.Driver.SetFilters(new NetworkFilters { MaxFrame = 9018 });
        nic.Driver.Attach(nic.Client.Buffers);
        nic.Client.Post(256);
        for (int round = 0; round < 100; round++)
        {
            foreach (int bytes in (int[])[60, 2036, 2048, 2049, 4096, 9018])
            {
                nic.Inject(Packets.Plain(bytes, bytes + round));
                Assert.Equal(Packets.Plain(bytes, bytes + round), Assert.Single(Take(nic, 1)));
            }
        }

        // A frame of 9,018 bytes took five.
        Assert.Contains(nic.Client.FirstOfFrames, buffer => (buffer.Flags & NetFlags.More) != 0);
    }

    [Fact]
    public void Filters()
    {
        using QemuNic nic = Started("packed=off", ("vlanFilter", "true"));
        MacAddress other = MacAddress.From([2, 0, 0, 0, 0, 7]), group = MacAddress.From([1, 0, 0x5e, 0, 0, 9]);
        byte[] toOther = [.. (ReadOnlySpan<byte>)other, .. Packets.Plain(60)[6..]], toGroup = [.. (ReadOnlySpan<byte>)group, .. Packets.Plain(60)[6..]];
        AssertPasses(nic, toOther, false);
        AssertPasses(nic, toGroup, false);
        NetworkFilters filters = new() { UnicastCount = 1, MulticastCount = 1 };
        filters.Unicast[0] = other;
        filters.Multicast[0] = group;
        nic.Driver.SetFilters(filters);
        AssertPasses(nic, toOther, true);
        AssertPasses(nic, toGroup, true);
        nic.Driver.SetFilters(new NetworkFilters { Flags = NetworkFilterFlags.AllMulticast });
        AssertPasses(nic, toOther, false);
        AssertPasses(nic, toGroup, true);
        nic.Driver.SetFilters(new NetworkFilters { Flags = NetworkFilterFlags.Promiscuous });
        AssertPasses(nic, toOther, true);
        filters = new NetworkFilters { Flags = NetworkFilterFlags.VlanFilter };
        filters.Vlans[0] = 1u << 5;
        nic.Driver.SetFilters(filters);
        AssertPasses(nic, Packets.Tagged(5, 64), true);
        AssertPasses(nic, Packets.Tagged(6, 64), false);
    }

    [Fact]
    public void Filters_that_the_device_does_not_have_are_refused()
    {
        using QemuNic nic = Started("packed=off");
        Assert.Throws<ArgumentException>(() => nic.Driver.SetFilters(new NetworkFilters { Flags = NetworkFilterFlags.VlanStrip }));
        Assert.Throws<ArgumentException>(() => nic.Driver.SetFilters(new NetworkFilters { Flags = NetworkFilterFlags.VlanFilter }));
        Assert.Throws<ArgumentException>(() => nic.Driver.SetFilters(new NetworkFilters { MaxFrame = 60_000 }));
        NetworkFilters wrong = new() { UnicastCount = 1 };
        wrong.Unicast[0] = MacAddress.From([1, 0, 0, 0, 0, 0]);
        Assert.Throws<ArgumentException>(() => nic.Driver.SetFilters(wrong));
        AssertPasses(nic, Packets.Plain(60), true);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_new_driver_takes_over_whatever_the_last_one_left(bool reset)
    {
        using QemuNic nic = Started("packed=on");
        for (int life = 0; life < 5; life++)
        {
            for (int i = 0; i < 20; i++) nic.Client.Send(Packets.Plain(60, i));
            nic.Poll();
            for (int i = 0; i < 20; i++) _ = nic.NextSent();
            nic.Reincarnate(reset);
            _ = nic.Client.TakeCompleted();
            nic.Driver.Start();
            nic.Driver.Attach(nic.Client.Buffers);
            nic.Inject(Packets.Plain(100, life));
            nic.Client.Post(64, 64 * (uint)life);
            Assert.Equal(Packets.Plain(100, life), Assert.Single(Take(nic, 1)));
        }
    }

    [Fact]
    public void Detach_gives_the_memory_up_and_the_device_goes_on()
    {
        using QemuNic nic = Started("packed=off");
        nic.Driver.SetFilters(new NetworkFilters { Flags = NetworkFilterFlags.Promiscuous });
        nic.Driver.Detach();
        Assert.False(nic.Driver.TxBusy);
        nic.Driver.Attach(nic.Client.Buffers);
        nic.Client.Post(32, 300);
        byte[] elsewhere = [2, 0, 0, 0, 0, 7, .. Packets.Plain(60)[6..]];
        AssertPasses(nic, elsewhere, true);
    }

    /// <summary>A frame that is let through by every filter follows the one in question.</summary>
    private static void AssertPasses(QemuNic nic, byte[] frame, bool passes)
    {
        byte[] marker = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, .. Packets.Plain(80)[6..]];
        nic.Inject(frame);
        nic.Inject(marker);
        byte[][] expected = passes ? [frame, marker] : [marker];
        Assert.Equal(expected, Take(nic, expected.Length));
    }

    private static List<byte[]> Take(QemuNic nic, int count)
    {
        List<byte[]> received = [];
        nic.PollUntil(
            () =>
            {
                received.AddRange(nic.Client.TakeReceived().Where(frame => (frame.Last.Flags & NetFlags.Unused) == 0).Select(frame => frame.Frame));
                return received.Count >= count;
            },
            $"{count} frames");
        return received;
    }

    private static QemuNic New(string device, params (string Key, string Value)[] options)
    {
        Dictionary<string, string> texts = options.ToDictionary(option => option.Key, option => option.Value);
        KeyValuePair<string, string>[] properties = [.. device.Split(',').Select(word => word.Split('=')).Select(word => KeyValuePair.Create(word[0], word[1]))];
        return new QemuNic("virtio-net-pci", context => new VirtioNetDriver(context with { Options = texts }), properties: properties);
    }

    private static QemuNic Started(string device, params (string Key, string Value)[] options)
    {
        QemuNic nic = New(device, options);
        nic.Driver.Start();
        nic.Driver.Attach(nic.Client.Buffers);
        nic.Client.Post(256);
        nic.Poll();
        return nic;
    }
}
