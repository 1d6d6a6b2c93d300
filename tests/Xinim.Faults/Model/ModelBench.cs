using System.Runtime.InteropServices;
using Xinim.Drivers.Network.E1000;
using Xinim.Faults.Traffic;
using Xinim.Ipc.Protocols;
using Xinim.TestKit;
using Xinim.TestKit.E1000;
using Xinim.TestKit.Fakes;

namespace Xinim.Faults.Model;

/// <summary>The real E1000 driver's code on a device model.</summary>
internal sealed class ModelBench : IModelBench
{
    public const uint Descriptors = 64;
    private const uint Buffers = 32;
    private const int FramesPerRound = 3;

    private static readonly MacAddress s_peer = MacAddress.From(Packets.Peer);
    private static readonly MacAddress s_station = MacAddress.From(Packets.Station);

    private readonly object _sync = new();
    private readonly E1000Bench _bench;
    private readonly ModelClient _client;
    private readonly byte[] _frame = new byte[2048];

    public ModelBench(E1000ModelKind kind, uint run)
    {
        TamperedRegisters? registers = null;
        _bench = new E1000Bench(kind, new E1000Options { TxDescriptors = Descriptors, RxDescriptors = Descriptors }, buffers: Buffers, wrap: model => new TamperedDevice(model.Device, registers = new TamperedRegisters(model)));
        Registers = registers!;
        Tx = new FrameStream(_sync, s_station, s_peer, run << 1);
        Rx = new FrameStream(_sync, s_peer, s_station, (run << 1) | 1);
        _client = new ModelClient(_bench.Client, Buffers, Rx);
    }

    public E1000Model Model => _bench.Model;

    public TamperedRegisters Registers { get; }

    public E1000Driver Driver => _bench.Driver;

    public FrameStream Tx { get; }

    public FrameStream Rx { get; }

    public StreamCounts Sent => Tx.Counts;

    public StreamCounts Received => Rx.Counts;

    public string? Breach => _client.Breach;

    /// <summary>The driver's descriptors.</summary>
    public Span<ulong> WorkWords => MemoryMarshal.Cast<byte, ulong>(_bench.Work.Memory!.Slice(0, (int)Descriptors * 16 * 2));

    /// <summary>Packet memory that the device writes.</summary>
    public Span<byte> ReceivePool => _bench.Client.RxPool.Memory!.Slice(0, (int)Buffers * FakeNetworkClient.Stride);

    /// <summary>Result word of the first receive descriptor that the device has finished and the driver has not looked at; the driver's ring is the second table of its work region.</summary>
    public ref ulong ReceiveResult(uint index) => ref WorkWords[(int)((Descriptors + (index % Descriptors)) * 2) + 1];

    public void Start()
    {
        _bench.Started();
        _client.PostAll();
        _bench.Poll();
    }

    public void Arrive()
    {
        for (int i = 0; i < FramesPerRound; i++)
        {
            if (_bench.Client.TxOutstanding < (int)Buffers) _bench.Client.Send(_frame.AsSpan(0, Tx.WriteNext(_frame, 0)));
            Registers.Guard(() => _ = Model.Receive(_frame.AsSpan(0, Rx.WriteNext(_frame, 0))));
        }
    }

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

        _client.Take();
        foreach (byte[] frame in Model.Sent) _ = Tx.Check(frame);
        Model.Sent.Clear();
    }

    public void OnTimer() => Driver.OnTimer();

    public void Relent()
    {
        Registers.Relent();
        Model.Misbehaviour = E1000Misbehaviour.None;
    }

    public void Succeed()
    {
    }

    /// <inheritdoc cref="ModelClient.Forget"/>
    internal void Forget() => _client.Forget();

    public void Dispose() => _bench.Dispose();
}
