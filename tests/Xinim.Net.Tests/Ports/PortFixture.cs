using Xinim.Net.Ports;
using Xinim.TestKit.Net;

namespace Xinim.Net.Tests.Ports;

/// <summary>A port, its daemon, and the driver between them, which the test plays.</summary>
internal sealed class PortFixture : IDisposable
{
    public static readonly TimeSpan Limit = TimeSpan.FromSeconds(10);
    private static readonly NetworkPortOptions Small = new() { TxBuffers = 8, RxBuffers = 8, BufferBytes = 256 };
    private readonly ReceivedBuffer[] _pieces = new ReceivedBuffer[64];

    /// <param name="headroom">Bytes that the driver asks for before frames, both ways.</param>
    public PortFixture(NetworkPortOptions? options = null, ushort headroom = 0)
    {
        SetHeadroom(headroom);
        Port = NetworkPort.Open("net0", options ?? Small, Daemon.Socket);
    }

    public FakeDaemon Daemon { get; } = new();

    public NetworkPort Port { get; }

    public FakeNic Nic => Daemon.Nic;

    /// <summary>What the next driver asks for.</summary>
    public void SetHeadroom(ushort bytes) => Daemon.Info = Daemon.Info with { TxHeadroom = bytes, RxHeadroom = bytes };

    public uint Send(params byte[] frame)
    {
        Assert.True(Port.TryRent(out uint slot));
        frame.CopyTo(Port.TxMemory(slot));
        Port.Send(slot, (uint)frame.Length);
        Port.Flush();
        return slot;
    }

    /// <summary>Queues a frame of several pieces, a byte each, and flushes after every piece.</summary>
    public void SendPieces(params byte[] pieces)
    {
        for (int i = 0; i < pieces.Length; i++)
        {
            Assert.True(Port.TryRent(out uint slot));
            Port.TxMemory(slot)[0] = pieces[i];
            bool more = i + 1 < pieces.Length;
            Port.Send(slot, new Ipc.Protocols.NetBuffer { Length = 1, Flags = more ? Ipc.Protocols.NetFlags.More : 0 });
            Port.Flush();
        }
    }

    /// <summary>Takes what has come, as frames, and gives the buffers back.</summary>
    public List<byte[]> Receive()
    {
        List<byte[]> frames = [];
        List<byte> open = [];
        uint count;
        while ((count = Port.Receive(_pieces)) != 0)
        {
            for (int i = 0; i < count; i++)
            {
                open.AddRange(Port.Data(_pieces[i]));
                Port.Recycle(_pieces[i].Slot);
                if ((_pieces[i].Flags & Ipc.Protocols.NetFlags.More) != 0) continue;
                frames.Add([.. open]);
                open.Clear();
            }
        }

        Assert.Empty(open);
        Port.Flush();
        return frames;
    }

    /// <summary>Replaces the driver, and lets the port notice.</summary>
    public void Reincarnate()
    {
        uint before = Port.Recoveries;
        Daemon.Kill();
        Daemon.Revive();
        WaitFor(() => Port.Recoveries == before + 1);
        Nic.Take();
    }

    public void WaitFor(Func<bool> condition)
    {
        long end = Environment.TickCount64 + (long)Limit.TotalMilliseconds;
        while (!condition())
        {
            Assert.True(Environment.TickCount64 < end, "nothing happened");
            Port.Wait(TimeSpan.FromMilliseconds(50));
        }
    }

    public void Dispose()
    {
        Port.Dispose();
        Daemon.Dispose();
    }
}
