using Xinim.Net.Ports;

namespace Xinim.Net.Tests.Ports;

public sealed class AllocationTests
{
    private const int Frames = 100_000;
    private const int Batch = 32;

    [Fact]
    public void The_data_path_allocates_nothing()
    {
        using PortFixture fixture = new(new NetworkPortOptions { TxBuffers = 64, RxBuffers = 64 });
        ReceivedBuffer[] pieces = new ReceivedBuffer[Batch];
        Exchange(fixture, pieces, Batch);
        long before = GC.GetAllocatedBytesForCurrentThread();
        int received = Exchange(fixture, pieces, Frames);
        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        Assert.Equal(Frames, received);
        Assert.Equal(0, allocated);
    }

    /// <summary>Client and driver in turn: what is sent comes back as received.</summary>
    private static int Exchange(PortFixture fixture, ReceivedBuffer[] pieces, int frames)
    {
        NetworkPort port = fixture.Port;
        int received = 0;
        for (int done = 0; done < frames; done += Batch)
        {
            for (int i = 0; i < Batch && port.TryRent(out uint slot); i++)
            {
                port.TxMemory(slot)[0] = (byte)i;
                port.Send(slot, 60);
            }

            port.Flush();
            Drive(fixture);
            uint count = port.Receive(pieces);
            for (int i = 0; i < count; i++)
            {
                _ = port.Data(pieces[i]);
                port.Recycle(pieces[i].Slot);
            }

            received += (int)count;
            port.Wait(TimeSpan.Zero);
        }

        return received;
    }

    /// <summary>The driver's side without the fake's queues, so that what is measured is the port.</summary>
    private static void Drive(PortFixture fixture)
    {
        var rings = fixture.Nic.Rings;
        uint count = Math.Min(rings.Submit.Peek(Batch), rings.Free.Peek(Batch));
        for (uint i = 0; i < count; i++)
        {
            rings.Completed[i] = rings.Submit.Read(i);
            rings.Received[i] = rings.Free.Read(i) with { Length = 60 };
        }

        rings.Submit.Release(count);
        rings.Free.Release(count);
        rings.Completed.Publish(count);
        rings.Received.Publish(count);
        rings.Client.Ring();
    }
}
