using System.Runtime.InteropServices;
using Xinim.Drivers.Network.E1000;
using Xinim.Faults.Traffic;
using Xinim.Ipc.Protocols;
using Xinim.TestKit;
using Xinim.TestKit.E1000;
using Xinim.Vfio;

namespace Xinim.Faults.Model;

/// <summary>
/// The real driver's code on a device model in this process, with checked traffic. What a driver gives to its client is held against what any driver
/// must keep to: buffers that it holds, once, within their bounds.
/// </summary>
internal sealed class ModelBench : IDisposable
{
    public const uint Descriptors = 64;
    private const uint Buffers = 32;
    private const int FramesPerRound = 3;
    private const uint MaxFrame = 1518;
    private const uint MinFrame = 14;

    private static readonly MacAddress s_peer = MacAddress.From(Packets.Peer);
    private static readonly MacAddress s_station = MacAddress.From(Packets.Station);

    private readonly object _sync = new();
    private readonly E1000Bench _bench;
    private readonly bool[] _held = new bool[Buffers];
    private readonly byte[] _frame = new byte[2048];
    private readonly byte[] _whole = new byte[65536];

    public ModelBench(E1000ModelKind kind, uint run)
    {
        TamperedRegisters? registers = null;
        _bench = new E1000Bench(kind, new E1000Options { TxDescriptors = Descriptors, RxDescriptors = Descriptors }, buffers: Buffers, wrap: model => new TamperedDevice(model, registers = new TamperedRegisters(model)));
        Registers = registers!;
        Tx = new FrameStream(_sync, s_station, s_peer, run << 1);
        Rx = new FrameStream(_sync, s_peer, s_station, (run << 1) | 1);
    }

    public E1000Model Model => _bench.Model;

    public TamperedRegisters Registers { get; }

    public E1000Driver Driver => _bench.Driver;

    public FrameStream Tx { get; }

    public FrameStream Rx { get; }

    /// <summary>What no driver may do, whatever its device does; null so far.</summary>
    public string? Breach { get; private set; }

    /// <summary>The driver's descriptors.</summary>
    public Span<ulong> WorkWords => MemoryMarshal.Cast<byte, ulong>(_bench.Work.Memory!.Slice(0, (int)Descriptors * 16 * 2));

    /// <summary>Packet memory that the device writes.</summary>
    public Span<byte> ReceivePool => _bench.Client.RxPool.Memory!.Slice(0, (int)Buffers * 2048);

    /// <summary>Result word of the first receive descriptor that the device has finished and the driver has not looked at; the driver's ring is the second table of its work region.</summary>
    public ref ulong ReceiveResult(uint index) => ref WorkWords[(int)((Descriptors + (index % Descriptors)) * 2) + 1];

    /// <exception cref="DeviceFaultException">The driver does not like its device.</exception>
    public void Start()
    {
        _bench.Started();
        for (uint i = 0; i < Buffers; i++) Post(i);
        _bench.Poll();
    }

    /// <summary>Frames both ways, without the driver looking.</summary>
    public void Arrive()
    {
        for (int i = 0; i < FramesPerRound; i++)
        {
            if (_bench.Client.TxOutstanding < (int)Buffers) _bench.Client.Send(_frame.AsSpan(0, Tx.WriteNext(_frame, 0)));
            Registers.Guard(() => _ = Model.Receive(_frame.AsSpan(0, Rx.WriteNext(_frame, 0))));
        }
    }

    /// <summary>One turn of the host's loop, and the client's.</summary>
    /// <exception cref="DeviceFaultException">The driver has found its device broken.</exception>
    public void Turn()
    {
        _bench.Poll();
        Driver.ArmInterrupts();
        _bench.Poll();
        if (_bench.Interrupts.Take(0))
        {
            Driver.OnInterrupt(0);
            _bench.Interrupts.Acknowledge(0);
        }

        TakeCompleted();
        TakeReceived();
        foreach (byte[] frame in Model.Sent) _ = Tx.Check(frame);
        Model.Sent.Clear();
    }

    /// <summary>Forgets which buffers the driver holds: a defect of the checker's own, to see it fail.</summary>
    internal void Forget() => Array.Clear(_held);

    public void Dispose() => _bench.Dispose();

    private void Post(uint slot)
    {
        _held[slot] = true;
        _bench.Client.Post(1, slot);
    }

    private void TakeCompleted()
    {
        foreach (NetBuffer buffer in _bench.Client.TakeCompleted())
        {
            if (buffer.Cookie >= Buffers) Breach ??= $"a transmit buffer {buffer.Cookie} that was never given came back";
            else if (buffer.Flags != NetFlags.None) Breach ??= $"a good transmit request came back with {buffer.Flags}";
        }
    }

    private void TakeReceived()
    {
        var ring = _bench.Client.Client.Received;
        uint count = ring.Peek(Buffers);
        int bytes = 0;
        for (uint i = 0; i < count; i++)
        {
            NetBuffer buffer = ring.Read(i);
            if (Problem(buffer) is { } problem)
            {
                Breach ??= problem;
                break;
            }

            if ((buffer.Flags & NetFlags.Unused) == 0)
            {
                _bench.Client.RxPool.Memory!.Slice(buffer.Offset, (int)buffer.Length).CopyTo(_whole.AsSpan(bytes));
                bytes += (int)buffer.Length;
                if ((buffer.Flags & NetFlags.More) == 0)
                {
                    if (bytes is < (int)MinFrame or > (int)MaxFrame) Breach ??= $"a frame of {bytes} bytes was given as good";
                    _ = Rx.Check(_whole.AsSpan(0, bytes));
                    bytes = 0;
                }
            }

            _held[buffer.Cookie] = false;
            Post((uint)buffer.Cookie);
        }

        ring.Release(count);
    }

    private string? Problem(in NetBuffer buffer)
    {
        if (buffer.Cookie >= Buffers || !_held[buffer.Cookie]) return $"receive buffer {buffer.Cookie}, which the driver does not hold, came back";
        if (buffer.Offset != buffer.Cookie * 2048 || buffer.Length > 2048) return $"receive buffer {buffer.Cookie} came back with {buffer.Length} bytes at {buffer.Offset}";
        const NetFlags known = NetFlags.More | NetFlags.Unused | NetFlags.Vlan | NetFlags.Ipv4Checksum | NetFlags.TransportChecksum | NetFlags.ChecksumBad;
        return (buffer.Flags & ~known) != 0 ? $"receive buffer {buffer.Cookie} came back with flags {buffer.Flags}" : null;
    }
}
