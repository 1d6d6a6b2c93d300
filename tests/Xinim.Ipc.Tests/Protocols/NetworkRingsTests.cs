using Microsoft.Win32.SafeHandles;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Native;
using Xinim.Ipc.Protocols;
using Xinim.Ipc.Rings;
using Xunit;

namespace Xinim.Ipc.Tests.Protocols;

/// <summary>Rings for several pairs of queues in one region, and what a piece of a frame says beside its buffer.</summary>
public sealed class NetworkRingsTests
{
    [Theory]
    [InlineData(1u)]
    [InlineData(3u)]
    [InlineData(NetworkRings.MaxPairs)]
    public void Each_pair_has_rings_and_a_doorbell_of_its_own(uint pairs)
    {
        RingShape shape = new(8, 4, 7, pairs);
        using SharedRegion region = NetworkRings.Create(shape);
        using SafeFileHandle own = Descriptor.CreateEvent();
        SafeFileHandle[] bells = [.. Enumerable.Range(0, (int)pairs).Select(_ => Descriptor.CreateEvent())];
        NetworkRings.DriverSide driver = new(region, shape, own, bells);
        NetworkRings.ClientEnd[] clients = [.. bells.Select((bell, pair) => new NetworkRings.ClientEnd(region, shape, bell, own, (uint)pair))];
        Assert.Equal((int)pairs, driver.Count);
        for (uint pair = 0; pair < pairs; pair++)
        {
            // Full rings of all pairs disturb nobody.
            Assert.Equal(8u, clients[pair].Submit.Reserve(100));
            for (uint i = 0; i < 8; i++) clients[pair].Submit[i] = new NetBuffer { Cookie = (pair * 100) + i };
            clients[pair].Submit.Publish(8);
            Assert.Equal(4u, driver[(int)pair].Received.Reserve(100));
            for (uint i = 0; i < 4; i++) driver[(int)pair].Received[i] = new NetBuffer { Cookie = (pair * 1000) + i };
            driver[(int)pair].Received.Publish(4);
        }

        for (uint pair = 0; pair < pairs; pair++)
        {
            Assert.Equal(8u, driver[(int)pair].Submit.Peek(100));
            Assert.Equal(4u, clients[pair].Received.Peek(100));
            Assert.Equal((pair * 100) + 7, driver[(int)pair].Submit.Read(7).Cookie);
            Assert.Equal((pair * 1000) + 3, clients[pair].Received.Read(3).Cookie);
            clients[pair].Own.PrepareToSleep();
            Assert.True(driver[(int)pair].Client.Ring());
            Assert.Equal([.. Enumerable.Range(0, (int)pairs).Select(i => i == (int)pair ? 1ul : 0)], bells.Select(Descriptor.Drain));
            // One word and one eventfd wake the driver, whichever pair has work.
            driver.Own.PrepareToSleep();
            Assert.True(clients[pair].Driver.Ring());
            Assert.Equal(1ul, Descriptor.Drain(own));
        }

        foreach (NetworkRings.ClientEnd client in clients) client.Own.PrepareToSleep();
        driver.WakeClient();
        Assert.All(bells, bell => Assert.Equal(1ul, Descriptor.Drain(bell)));
        RingRegion.Close(region);
        Assert.All(clients, client => Assert.True(client.IsClosed));
        foreach (SafeFileHandle bell in bells) bell.Dispose();
    }

    [Fact]
    public void A_pair_that_there_is_not_is_refused()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => NetworkRings.Create(new RingShape(8, 8, 1, NetworkRings.MaxPairs + 1)));
        Assert.Throws<ArgumentOutOfRangeException>(() => NetworkRings.Create(new RingShape(8, 8, 1, 0)));
        RingShape shape = new(8, 8, 1, 2);
        using SharedRegion region = NetworkRings.Create(shape);
        using SafeFileHandle bell = Descriptor.CreateEvent();
        Assert.Throws<ArgumentOutOfRangeException>(() => new NetworkRings.DriverEnd(region, shape, bell, bell, 2));
        Assert.ThrowsAny<Exception>(() => new NetworkRings.DriverEnd(region, shape with { Pairs = 3 }, bell, bell, 2));
        Assert.Throws<RingException>(() => new NetworkRings.DriverEnd(region, shape with { TxCapacity = 4 }, bell, bell, 1));
    }

    [Fact]
    public void The_lead_of_a_piece_comes_back_and_leaves_its_results_alone()
    {
        NetBuffer buffer = new() { Cookie = 1, Length = 2, Flags = NetFlags.Lead, VlanTag = 3, SegmentSize = 4 };
        byte[] lead = [.. Enumerable.Range(0xf0, NetBuffer.LeadBytes).Select(value => (byte)value)], back = new byte[NetBuffer.LeadBytes];
        buffer.PutLead(lead);
        buffer.GetLead(back);
        Assert.Equal(lead, back);
        Assert.Equal((1ul, 2u, NetFlags.Lead, (ushort)3, (ushort)4), (buffer.Cookie, buffer.Length, buffer.Flags, buffer.VlanTag, buffer.SegmentSize));
    }
}
