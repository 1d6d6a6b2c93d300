using System.Diagnostics;
using Xinim.Ipc.Protocols;
using Xinim.Net.Ports;

namespace Xinim.Faults.Traffic;

/// <summary>A NIC's client: sends and receives checked frames over a <see cref="NetworkPort"/>, with the other end of the cable on another thread.</summary>
internal sealed class NetworkWorkload : Workload
{
    private static uint s_run;

    private readonly string _socket;
    private readonly ILine _line;
    private readonly WorkloadOptions _options;
    private readonly ReceivedBuffer[] _pieces = new ReceivedBuffer[64];
    private FrameStream? _tx;
    private FrameStream? _rx;
    private StreamCounts _oldTx;
    private StreamCounts _oldRx;

    /// <param name="line">Owned.</param>
    public NetworkWorkload(string device, string socket, ILine line, WorkloadOptions options)
        : base(device)
    {
        (_socket, _line, _options) = (socket, line, options);
        Begin();
    }

    public override ulong LineDropped => _line.Dropped;

    protected override StreamCounts TxCounts => _oldTx + (_tx?.Counts ?? default);

    protected override StreamCounts RxCounts => _oldRx + (_rx?.Counts ?? default);

    public override void BeginOutage()
    {
        lock (Sync)
        {
            _tx?.BeginOutage(Stopwatch.GetTimestamp());
            _rx?.BeginOutage(Stopwatch.GetTimestamp());
        }
    }

    public override void EndOutage()
    {
        lock (Sync)
        {
            _tx?.EndOutage(Stopwatch.GetTimestamp());
            _rx?.EndOutage(Stopwatch.GetTimestamp());
        }
    }

    public override void Dispose()
    {
        base.Dispose();
        _line.Dispose();
    }

    protected override void Live()
    {
        using NetworkPort port = NetworkPort.Open(Device, new NetworkPortOptions { TxBuffers = _options.Buffers, RxBuffers = _options.Buffers, StallLimit = WorkloadOptions.StallLimit }, _socket);
        MacAddress peer = MacAddress.From("\x02PEER\x01"u8);
        uint run = Interlocked.Increment(ref s_run);
        FrameStream tx = new(Sync, port.Info.Mac, peer, run << 1);
        FrameStream rx = new(Sync, peer, port.Info.Mac, (run << 1) | 1);
        lock (Sync) (_tx, _rx) = (tx, rx);
        Forget();
        using (new LinePeer(_line, rx, tx, new Pacer(rx, _options.Rate, _options.Window), NoteSent))
        {
            try
            {
                Pacer pacer = new(tx, _options.Rate, _options.Window);
                while (!Stopping) Turn(port, tx, rx, pacer);
                Drain(port, rx);
            }
            catch (Exception exception) when (IsClientError(exception))
            {
                NoteError(exception);
            }
        }

        lock (Sync)
        {
            _oldTx += tx.Counts;
            _oldRx += rx.Counts;
            (_tx, _rx) = (null, null);
        }
    }

    private void Turn(NetworkPort port, FrameStream tx, FrameStream rx, Pacer pacer)
    {
        Attend(port.Generation, () => _ = port.GetStatistics());
        for (uint due = pacer.Due(Stopwatch.GetTimestamp()); due > 0 && port.TryRent(out uint slot); due--)
            port.Send(slot, (uint)tx.WriteNext(port.TxMemory(slot), Stopwatch.GetTimestamp()));
        port.Flush();
        port.Collect();
        if (!Receive(port, rx)) port.Wait(Idle);
    }

    private bool Receive(NetworkPort port, FrameStream rx)
    {
        uint count = port.Receive(_pieces);
        for (int i = 0; i < count; i++)
        {
            // No frame of the stream needs more than one buffer: pieces are damage, each of them.
            if (rx.Check(port.Data(_pieces[i]))) NoteReceived();
            port.Recycle(_pieces[i].Slot);
        }

        if (count != 0) port.Flush();
        return count != 0;
    }

    /// <summary>Frames that are on their way when all is over still arrive.</summary>
    private void Drain(NetworkPort port, FrameStream rx)
    {
        long start = Stopwatch.GetTimestamp();
        while (!port.TxIdle && Stopwatch.GetElapsedTime(start) < TimeSpan.FromSeconds(5))
        {
            port.Collect();
            if (!Receive(port, rx)) port.Wait(Idle);
        }
    }
}
