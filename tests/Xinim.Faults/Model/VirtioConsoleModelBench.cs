using System.Buffers.Binary;
using Xinim.Drivers;
using Xinim.Drivers.Console.Virtio;
using Xinim.Drivers.Virtio;
using Xinim.Drivers.Virtio.Transports;
using Xinim.Faults.Traffic;
using Xinim.Ipc.Protocols;
using Xinim.TestKit.Virtio;

namespace Xinim.Faults.Model;

/// <summary>The virtio-console driver on a model [V §5.3] of one port or many, one of which has a client.</summary>
internal sealed class VirtioConsoleModelBench : VirtioModelBench
{
    /// <summary>max_nr_ports [V §5.3.4].</summary>
    public const uint MaxPorts = 4;

    private const ushort ControlRx = 2, ControlTx = 3; // [V §5.3.2]
    private const int MessageBytes = 8;

    /// <summary>Control messages that a driver hears in a pass.</summary>
    private const int Hearing = 64;

    /// <summary>Rounds in which the first frames of a new client come through.</summary>
    private const int FlowRounds = 16;

    // VIRTIO_CONSOLE_F_SIZE, MULTIPORT [V §5.3.3].
    private const VirtioFeatures Size = (VirtioFeatures)1, Multiport = (VirtioFeatures)2;
    private static readonly byte[] s_config = [80, 0, 25, 0, (byte)MaxPorts, 0, 0, 0, 0, 0, 0, 0];

    private readonly ConsoleModelClient _client;
    private readonly Queue<byte[]> _words = [];
    private readonly bool _many;
    private VirtioConsoleDriver _driver;
    private (ulong At, int Bytes) _last;
    private bool _present;
    private bool _guestOpen;

    public VirtioConsoleModelBench(VirtioFeatures features, uint run)
        : base(new VirtioModelOptions(VirtioDeviceType.Console) { Features = features, Config = s_config, Queues = (2 * (ushort)MaxPorts) + 2, QueueSize = Entries, NeedsAccessPlatform = true })
    {
        _many = (features & Multiport) != 0;
        (Port, Queues) = _many ? (1u, (ushort[])[4, 5, ControlRx, ControlTx]) : (0, [0, 1]);
        _client = new ConsoleModelClient(Port, run);
        _driver = Make();
    }

    /// <summary>Of its features.</summary>
    public static IReadOnlyList<(string Name, VirtioFeatures Features)> Layouts { get; } =
    [
        ("one port", Bus),
        ("one port with size", Bus | Size | VirtioFeatures.EventIndex),
        ("ports", Bus | Multiport),
        ("ports with size", Bus | Multiport | Size | VirtioFeatures.EventIndex),
    ];

    /// <summary>The one with a client.</summary>
    public uint Port { get; }

    public override StreamCounts Sent => _client.Sent;

    public override StreamCounts Received => _client.Received;

    public override string? Breach => _client.Breach;

    public override IReadOnlyList<ushort> Queues { get; }

    /// <summary>What the device wrote last, or where that is not there, all that it can.</summary>
    public override Span<byte> Memory => WorkAt(_last.At, _last.Bytes) is { IsEmpty: false } last ? last : System.Runtime.InteropServices.MemoryMarshal.AsBytes(WorkWords);

    /// <summary>The device does not hear what the driver says of its ports.</summary>
    public bool Deaf { get; set; }

    protected override IDriver Driver => _driver;

    private ushort Rx => Queues[0];

    private ushort Tx => Queues[1];

    public override void Start()
    {
        Restart();
        Poll();
    }

    public override void Arrive()
    {
        _client.Arrive();
        Guard(Deliver);
        // A device that was not woken looks by itself.
        if (_many) Guard(() => Serve(ControlTx));
        Guard(() => Serve(Tx));
    }

    public override void OnTimer()
    {
        _client.OnTimer();
        base.OnTimer();
    }

    /// <summary>The driver dies before it has seen what the device took and wrote last.</summary>
    public void DieAtWork()
    {
        _client.Serve(_driver);
        Guard(Deliver);
        Die();
    }

    /// <summary>The driver is gone at once, and the next one is there.</summary>
    public void Die()
    {
        _client.OnDeath();
        _driver = Make();
        Restart();
    }

    /// <summary>Whatever this driver left: a client that comes now is served.</summary>
    public override void Succeed()
    {
        Relent();
        Die();
        Turn();
        _client.Replace(_driver);
        (ulong sent, ulong received) = (Sent.Good, Received.Good);
        for (int round = 0; round < FlowRounds; round++)
        {
            Arrive();
            Turn();
            if (Sent.Good > sent && Received.Good > received) return;
        }

        _client.Breach ??= $"a new client of the next driver has sent {Sent.Good - sent} frames and received {Received.Good - received}";
    }

    /// <summary>The device says something on its control queue [V §5.3.6.2]; nothing where it has none.</summary>
    public void Say(uint port, ConsoleWord what, int value = 0, params ReadOnlySpan<byte> rest)
    {
        if (!_many) return;
        byte[] message = new byte[MessageBytes + rest.Length];
        BinaryPrimitives.WriteUInt32LittleEndian(message, port);
        BinaryPrimitives.WriteUInt16LittleEndian(message.AsSpan(4), (ushort)what);
        BinaryPrimitives.WriteUInt16LittleEndian(message.AsSpan(6), (ushort)value);
        rest.CopyTo(message.AsSpan(MessageBytes));
        if (port == Port && what == ConsoleWord.DeviceAdd) _present = true;
        if (port == Port && what == ConsoleWord.DeviceRemove) (_present, _guestOpen) = (false, false);
        Say(message);
    }

    /// <inheritdoc cref="Say(uint, ConsoleWord, int, ReadOnlySpan{byte})"/>
    public void Say(byte[] message)
    {
        if (_many) _words.Enqueue(message);
    }

    public override void Dispose()
    {
        _client.Dispose();
        base.Dispose();
    }

    protected override void RelentFurther()
    {
        Deaf = false;
        if (!Model.Config.SequenceEqual(s_config)) Model.ChangeConfig(0, s_config);
        Say(Port, _present ? ConsoleWord.PortOpen : ConsoleWord.DeviceAdd, _present ? 1 : 0);
    }

    protected override void Poll()
    {
        Guard(Speak);
        for (int heard = 0; heard < Hearing && _driver.PollControl(); heard++) Guard(Speak);
        while (_driver.TryTakeChange(out ConsolePortInfo info)) _client.OnPort(_driver, info);
        _client.Serve(_driver);
        Guard(Deliver);
    }

    protected override void Take()
    {
        // With every pass: Poll.
    }

    protected override bool Answers(ushort queue) => queue == Tx || (queue == ControlTx && _many);

    protected override uint Do(ushort queue, DeviceChain chain)
    {
        byte[] bytes = chain.Read(Model.Dma);
        if (queue == ControlTx && _many) Hear(bytes);
        else if (_present) _client.Check(bytes);
        return 0;
    }

    private VirtioConsoleDriver Make() => new(Model, Arena, _ => _client.OnUnasked(), new VirtioConsoleOptions());

    /// <summary>The device is reset, and its driver brings it up.</summary>
    private void Restart()
    {
        _words.Clear();
        (_present, _guestOpen) = (!_many, !_many);
        _ = _driver.Start();
    }

    /// <summary>The driver says something of its ports [V §5.3.6.2].</summary>
    private void Hear(ReadOnlySpan<byte> message)
    {
        if (Deaf || message.Length < MessageBytes) return;
        (uint port, ConsoleWord what) = (BinaryPrimitives.ReadUInt32LittleEndian(message), (ConsoleWord)BinaryPrimitives.ReadUInt16LittleEndian(message[4..]));
        bool yes = BinaryPrimitives.ReadUInt16LittleEndian(message[6..]) == 1;
        if (what == ConsoleWord.DeviceReady && yes) Say(Port, ConsoleWord.DeviceAdd);
        if (port != Port || !_present) return;
        if (what == ConsoleWord.PortOpen) _guestOpen = yes;
        if (what != ConsoleWord.PortReady || !yes) return;
        Say(Port, ConsoleWord.PortName, 1, "xinim.model"u8);
        Say(Port, ConsoleWord.PortOpen, 1);
    }

    private void Speak()
    {
        while (!Silent && _words.Count != 0 && Model.Queue(ControlRx) is { } queue && queue.Pop() is { } chain) Use(queue, chain, chain.Write(Model.Dma, _words.Dequeue()));
        if (_many) _ = Model.Flush(ControlRx);
    }

    /// <summary>What has come from the other side goes into the driver's buffers, as far as there are any.</summary>
    private void Deliver()
    {
        while (!Silent && _guestOpen && _client.Pending != 0 && Model.Queue(Rx) is { } queue && queue.Pop() is { } chain)
        {
            byte[] bytes = _client.Take((int)Math.Min(chain.WritableBytes, int.MaxValue));
            if (chain.Writable.Count != 0) _last = (chain.Writable[0].At, bytes.Length);
            Use(queue, chain, chain.Write(Model.Dma, bytes));
        }

        _ = Model.Flush(Rx);
    }
}
