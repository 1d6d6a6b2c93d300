using System.Buffers.Binary;
using System.Diagnostics;
using Xinim.Net.Ports;

namespace Xinim.Benchmarks.Isolation;

/// <summary>The client's end: sends frames through a port in whole batches, in turns with a driver of its own thread or beside one elsewhere. Allocates nothing.</summary>
/// <param name="driver">The driver's end; null where another process polls it.</param>
/// <param name="stamp">Write each frame's number into it.</param>
internal sealed class HopClient(NetworkPort port, HopDriver? driver, uint batch, bool stamp)
{
    private const int LooksPerClock = 1024;
    private const ulong BatchesPerClock = 128;
    private const uint MinFrame = 60;
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(10);

    public ulong Frames { get; private set; }

    /// <summary>Their lengths, which differ from frame to frame so that a lost one and a doubled one do not make up for each other.</summary>
    public ulong Bytes { get; private set; }

    /// <summary>Sends until both time and count are reached, and waits for the last one.</summary>
    public void Stream(TimeSpan time, ulong count)
    {
        long start = Stopwatch.GetTimestamp();
        ulong end = Frames + count;
        do
        {
            for (ulong i = 0; i < BatchesPerClock; i++) SendBatch();
        }
        while (Frames < end || Stopwatch.GetElapsedTime(start) < time);
        while (!port.TxIdle) Collect();
    }

    /// <summary>Sends the next frame when the last one is back, until both time and count are reached.</summary>
    public void PingPong(TimeSpan time, ulong count)
    {
        long start = Stopwatch.GetTimestamp();
        ulong end = Frames + count;
        do
        {
            for (ulong i = 0; i < BatchesPerClock; i++)
            {
                SendBatch();
                Collect();
            }
        }
        while (Frames < end || Stopwatch.GetElapsedTime(start) < time);
    }

    private void SendBatch()
    {
        for (uint i = 0; i < batch; i++)
        {
            uint slot;
            while (!port.TryRent(out slot)) Collect();
            uint length = MinFrame + (uint)(Frames * 7 % 64);
            if (stamp) BinaryPrimitives.WriteUInt64LittleEndian(port.TxMemory(slot), Frames);
            port.Send(slot, length);
            Frames++;
            Bytes += length;
        }

        port.Flush();
        _ = driver?.Poll();
    }

    /// <summary>Waits until something has come back.</summary>
    private void Collect()
    {
        long start = 0;
        for (int looks = 1; port.Collect() == 0; looks++)
        {
            if (looks % LooksPerClock != 0) continue;
            if (start == 0) start = Stopwatch.GetTimestamp();
            if (Stopwatch.GetElapsedTime(start) > Limit) throw new TimeoutException($"the driver's end returned nothing for {Limit.TotalSeconds} s after {Frames} frames; is its process alive?");
        }
    }
}
