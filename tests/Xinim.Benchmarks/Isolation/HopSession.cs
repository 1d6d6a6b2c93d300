using System.Diagnostics;
using Microsoft.Win32.SafeHandles;
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

/// <summary>One measurement.</summary>
/// <param name="Sent">By the client.</param>
/// <param name="Disturbed">An end lost its processor to something else meanwhile.</param>
/// <param name="Seen">What the driver's end saw of it.</param>
internal readonly record struct HopResult(ulong Sent, TimeSpan Wall, bool Disturbed, HopTally Seen);

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

    /// <summary>Measures again and again on the same rings.</summary>
    /// <param name="time">Least length of a measurement.</param>
    /// <param name="frames">Least frames of a measurement.</param>
    /// <exception cref="InvalidOperationException">A frame was lost, doubled or refused, or a loop allocated.</exception>
    public HopResult[] Run(HopMode mode, TimeSpan time, ulong frames, int measurements)
    {
        HopDriver? driver = Attach(mode);
        HopClient client = new(_port, driver, mode.Batch, mode.Check);
        Send(client, mode, WarmUp, 1);
        HopResult[] results = new HopResult[measurements];
        for (int i = 0; i < measurements; i++) results[i] = Measure(client, driver, mode, time, frames);
        if (mode.Isolated) _ = Ask(HopMessage.Detach);
        return results;
    }

    public void Dispose()
    {
        _peer.Dispose();
        _port.Dispose();
        _daemon.Dispose();
    }

    /// <returns>The driver's end; null where the other process has it.</returns>
    private HopDriver? Attach(HopMode mode)
    {
        FakeNic nic = _daemon.Nic;
        HopRequest request = new(nic.Memory.Size, nic.TxPool.Size, nic.Shape, FakeDaemon.TxGrant, _processor, mode.Check ? 1u : 0);
        (SafeFileHandle own, SafeFileHandle peer) = (nic.Rings.Own.Handle, nic.Rings.Client.Handle);
        if (!mode.Isolated) return new HopDriver(new NetworkRings.DriverEnd(nic.Memory, nic.Shape, own, peer), nic.TxPool, request);
        _peer.Channel.Send(Header(HopMessage.Attach), request, nic.Memory.Handle, nic.TxPool.Handle, own, peer);
        _ = Answer();
        return null;
    }

    private HopResult Measure(HopClient client, HopDriver? driver, HopMode mode, TimeSpan time, ulong frames)
    {
        HopTally before = Count(driver);
        (ulong sentBefore, ulong bytesBefore, ulong backBefore) = (client.Frames, client.Bytes, _port.SentFrames);
        long switches = Processors.Switches();
        long allocated = GC.GetAllocatedBytesForCurrentThread();
        long start = Stopwatch.GetTimestamp();
        Send(client, mode, time, frames);
        TimeSpan wall = Stopwatch.GetElapsedTime(start);
        allocated = GC.GetAllocatedBytesForCurrentThread() - allocated;
        switches = Processors.Switches() - switches;
        HopTally seen = Since(before, Count(driver));
        (ulong sent, ulong bytes, ulong back) = (client.Frames - sentBefore, client.Bytes - bytesBefore, _port.SentFrames - backBefore);
        if (seen.Frames != sent || seen.Bytes != bytes || back != sent || seen.Refused != 0)
            throw new InvalidOperationException($"{mode}: {sent} frames of {bytes} bytes sent, {back} came back, the driver saw {seen}");
        if (mode.Check && seen.InOrder != sent) throw new InvalidOperationException($"{mode}: of {sent} frames {seen.InOrder} came once and in order");
        if (allocated + seen.Allocated != 0) throw new InvalidOperationException($"{mode}: the client's loop allocated {allocated} bytes, the driver's {seen.Allocated}");
        return new HopResult(sent, wall, switches + seen.Switches != 0, seen);
    }

    private HopTally Count(HopDriver? driver) => driver is null ? Ask(HopMessage.Count) : driver.Tally with { Process = Environment.ProcessId };

    private static HopTally Since(in HopTally before, in HopTally after) => after with
    {
        Frames = after.Frames - before.Frames,
        Bytes = after.Bytes - before.Bytes,
        InOrder = after.InOrder - before.InOrder,
        Batches = after.Batches - before.Batches,
        Switches = after.Switches - before.Switches,
    };

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
