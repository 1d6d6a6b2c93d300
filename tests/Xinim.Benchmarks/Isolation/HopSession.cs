using System.Diagnostics;
using Xinim.Ipc.Channels;
using Xinim.Ipc.Protocols;
using Xinim.Net.Ports;
using Xinim.TestKit.Net;
using Xinim.TestPeer;

namespace Xinim.Benchmarks.Isolation;

/// <summary>How the driver's end is reached and what is sent to it.</summary>
/// <param name="Isolated">The driver's end is in a process of its own.</param>
/// <param name="Batch">Frames that the client hands over at a time.</param>
/// <param name="PingPong">One frame at a time, there and back.</param>
/// <param name="Check">Number each frame and look at the numbers; not for what is timed.</param>
internal readonly record struct HopMode(bool Isolated, uint Batch, bool PingPong = false, bool Check = false);

/// <summary>One turn.</summary>
/// <param name="Sent">By the client.</param>
/// <param name="Processor">Time that both ends used of their processors.</param>
/// <param name="Seen">What the driver's end saw of it.</param>
internal readonly record struct HopResult(ulong Sent, TimeSpan Wall, TimeSpan Processor, HopTally Seen);

/// <summary>A port whose driver's end is now in this thread, now in another process, on the same memory.</summary>
internal sealed class HopSession : IDisposable
{
    private static readonly TimeSpan WarmUp = TimeSpan.FromMilliseconds(50);
    private readonly FakeDaemon _daemon = new();
    private readonly NetworkPort _port;
    private readonly PeerProcess _peer = PeerProcess.StartProgram("Xinim.Benchmarks", "hop-driver");
    private readonly int _processor;

    /// <param name="processor">Where the driver's process stays; negative for anywhere.</param>
    public HopSession(int processor)
    {
        _processor = processor;
        _port = NetworkPort.Open("net0", new NetworkPortOptions { RxBuffers = 64 }, _daemon.Socket);
    }

    /// <summary>Sends for at least a time and at least a count.</summary>
    /// <exception cref="InvalidOperationException">A frame was lost, doubled or refused, or a loop allocated.</exception>
    public HopResult Run(HopMode mode, TimeSpan time, ulong count)
    {
        FakeNic nic = _daemon.Nic;
        HopRequest request = new(nic.Memory.Size, nic.TxPool.Size, nic.Shape, FakeDaemon.TxGrant, _processor, mode.Check ? 1u : 0);
        HopDriver? driver = null;
        if (mode.Isolated) _peer.Channel.Send(Header(HopMessage.Attach), request, nic.Memory.Handle, nic.TxPool.Handle, nic.Rings.Own.Handle, nic.Rings.Client.Handle);
        else driver = new HopDriver(new NetworkRings.DriverEnd(nic.Memory, nic.Shape, nic.Rings.Own.Handle, nic.Rings.Client.Handle), nic.TxPool, request);
        if (mode.Isolated) _ = Answer();
        HopClient client = new(_port, driver, mode.Batch, mode.Check);
        Send(client, mode, WarmUp, 1);
        HopResult result = Measure(client, driver, mode, time, count);
        if (mode.Isolated) _ = Ask(HopMessage.Detach);
        return result;
    }

    public void Dispose()
    {
        _peer.Dispose();
        _port.Dispose();
        _daemon.Dispose();
    }

    private HopResult Measure(HopClient client, HopDriver? driver, HopMode mode, TimeSpan time, ulong count)
    {
        HopTally before = driver?.Tally ?? Ask(HopMessage.Count);
        (ulong frames, ulong bytes, ulong sent) = (client.Frames, client.Bytes, _port.SentFrames);
        TimeSpan processor = Environment.CpuUsage.TotalTime;
        long allocated = GC.GetAllocatedBytesForCurrentThread();
        long start = Stopwatch.GetTimestamp();
        Send(client, mode, time, count);
        TimeSpan wall = Stopwatch.GetElapsedTime(start);
        allocated = GC.GetAllocatedBytesForCurrentThread() - allocated;
        processor = Environment.CpuUsage.TotalTime - processor;
        HopTally after = driver?.Tally ?? Ask(HopMessage.Count);
        HopTally seen = new(
            after.Frames - before.Frames, after.Bytes - before.Bytes, after.InOrder - before.InOrder, after.Batches - before.Batches,
            after.Refused, after.Allocated + allocated, after.Processor - before.Processor);
        HopResult result = new(client.Frames - frames, wall, processor + TimeSpan.FromTicks(seen.Processor), seen);
        bool whole = seen.Frames == result.Sent && seen.Bytes == client.Bytes - bytes && _port.SentFrames - sent == result.Sent && seen.Refused == 0;
        if (!whole) throw new InvalidOperationException($"{mode}: {result.Sent} frames of {client.Bytes - bytes} bytes sent, {_port.SentFrames - sent} came back, the driver saw {seen}");
        if (seen.Allocated != 0) throw new InvalidOperationException($"{mode}: the loops allocated {seen.Allocated} bytes");
        return result;
    }

    private static void Send(HopClient client, HopMode mode, TimeSpan time, ulong count)
    {
        if (mode.PingPong) client.PingPong(time, count);
        else client.Stream(time, count);
    }

    private HopTally Ask(HopMessage question)
    {
        _peer.Channel.Send(Header(question));
        return Answer();
    }

    private HopTally Answer()
    {
        using ChannelMessage answer = _peer.Channel.Receive(PeerProcess.Limit);
        return answer.Get<HopTally>();
    }

    private static MessageHeader Header(HopMessage type) => new((uint)type, 0, 0);
}
