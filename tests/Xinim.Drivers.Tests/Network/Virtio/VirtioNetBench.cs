using Xinim.Drivers.Network.Virtio;
using Xinim.Drivers.Virtio;
using Xinim.Drivers.Virtio.Transports;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Protocols;
using Xinim.TestKit.Fakes;
using Xinim.TestKit.Virtio;
using Xinim.Vfio.Dma;
using Xunit;

namespace Xinim.Drivers.Tests.Network.Virtio;

/// <summary>A network device in this process, the driver on it and a client.</summary>
internal sealed class VirtioNetBench : IDisposable
{
    public const ushort Rx = 0, Tx = 1, ControlNumber = 2;
    public const int HeaderBytes = 12;

    /// <summary>What every device here has.</summary>
    public const VirtioFeatures Bus = VirtioFeatures.Version1 | VirtioFeatures.AccessPlatform;

    /// <summary>All that the driver takes, and MTU left out.</summary>
    public const VirtioFeatures Everything = Bus | VirtioFeatures.EventIndex | VirtioFeatures.RingPacked | VirtioFeatures.InOrder | VirtioFeatures.OrderPlatform
        | VirtioNetFeatures.Checksum | VirtioNetFeatures.GuestChecksum | VirtioNetFeatures.ControlOffloads | VirtioNetFeatures.Mac | VirtioNetFeatures.HostTso4
        | VirtioNetFeatures.HostTso6 | VirtioNetFeatures.HostUso | VirtioNetFeatures.Status | VirtioNetFeatures.ControlQueue | VirtioNetFeatures.ControlReceive
        | VirtioNetFeatures.ControlVlan | VirtioNetFeatures.Announce | VirtioNetFeatures.ControlMac | VirtioNetFeatures.SpeedDuplex;

    /// <summary>Address, link up, one pair, MTU 9,000, 10 Gbit/s, full duplex [V §5.1.4].</summary>
    public static byte[] UsualConfig => [0x52, 0x54, 0x00, 0x12, 0x34, 0x56, 1, 0, 1, 0, 0x28, 0x23, 0x10, 0x27, 0, 0, 1, 0, 0, 0];

    private readonly byte[] _drain = new byte[HeaderBytes];

    /// <param name="device">Changes what the model is.</param>
    public VirtioNetBench(VirtioFeatures features = Everything, VirtioNetOptions? options = null, Func<VirtioModelOptions, VirtioModelOptions>? device = null, uint buffers = 512)
    {
        VirtioModelOptions usual = new(VirtioDeviceType.Network) { Features = features, Config = UsualConfig, Queues = 3, NeedsAccessPlatform = true };
        Model = new VirtioModel(device?.Invoke(usual) ?? usual);
        Arena = new DmaArena(Model.Dma.Map("work", 4 << 20, RegionAccess.ReadWrite));
        Client = new FakeNetworkClient(Model.Dma, buffers, buffers);
        Driver = new VirtioNetDriver(Model, Arena, Log.Add, options ?? new VirtioNetOptions());
        Model.Notify = OnNotify;
    }

    public VirtioModel Model { get; }

    public DmaArena Arena { get; }

    public FakeNetworkClient Client { get; }

    public VirtioNetDriver Driver { get; }

    /// <summary>Lines that the driver logged.</summary>
    public List<string> Log { get; } = [];

    /// <summary>What came to the transmit queue: header and frame.</summary>
    public List<(byte[] Header, byte[] Frame)> Sent { get; } = [];

    /// <summary>Of each of those: its parts.</summary>
    public List<int> SentParts { get; } = [];

    public ulong SentCount { get; private set; }

    /// <summary>False: frames are counted only.</summary>
    public bool KeepSent { get; set; } = true;

    /// <summary>False: the device takes nothing from the transmit queue until <see cref="Transmit()"/>.</summary>
    public bool TransmitAtOnce { get; set; } = true;

    /// <summary>Commands of the control queue.</summary>
    public List<(byte Class, byte Command, byte[] Data)> Commands { get; } = [];

    /// <summary>The answer to a command: 0 is done, 1 is refused; below 0 it is used without an answer, below -1 not at all.</summary>
    public Func<byte, byte, int> Answer { get; set; } = (_, _) => 0;

    /// <summary>The client's.</summary>
    public NetworkWishes Wishes { get; init; }

    /// <summary>Of queues that the client has.</summary>
    public int Pairs { get; init; } = 1;

    /// <summary>Starts the driver and gives it the client's buffers.</summary>
    public VirtioNetBench Started(uint post = 0)
    {
        _ = Driver.Start();
        Driver.Prepare(Pairs, Wishes);
        Driver.Attach(Client.Buffers);
        if (post != 0) Client.Post(post);
        Poll();
        return this;
    }

    /// <summary>One round of the host's loop.</summary>
    public void Poll()
    {
        _ = Driver.TxReturn(Client.Driver.Completed);
        _ = Driver.RxReturn(Client.Driver.Received);
        _ = Driver.TxProvide(Client.Driver.Submit);
        _ = Driver.RxProvide(Client.Driver.Free);
        _ = Driver.TxReturn(Client.Driver.Completed);
    }

    /// <summary>The device receives a frame.</summary>
    /// <param name="flags">Of the header.</param>
    /// <param name="written">What it says that it wrote; by default header and frame.</param>
    /// <returns>False where it has no buffer.</returns>
    public bool Receive(ReadOnlySpan<byte> frame, byte flags = 0, uint? written = null)
    {
        if (Model.Queue(Rx)?.Pop() is not { } chain) return false;
        Span<byte> bytes = stackalloc byte[HeaderBytes + frame.Length];
        bytes.Clear();
        bytes[0] = flags;
        bytes[10] = 1;
        frame.CopyTo(bytes[HeaderBytes..]);
        uint put = chain.Write(Model.Dma, bytes);
        Model.Queue(Rx)!.Use(chain, written ?? put);
        _ = Model.Flush(Rx);
        return true;
    }

    /// <summary>The device receives a frame into as many buffers as it needs [V §5.1.6.4].</summary>
    /// <param name="change">Makes the header that the device writes, num_buffers filled in, another one.</param>
    /// <param name="room">Bytes of a buffer that the device uses at the most.</param>
    /// <param name="used">Buffers that it uses; all by default.</param>
    /// <returns>How many it needs.</returns>
    public int ReceiveMerged(ReadOnlySpan<byte> frame, Action<byte[]>? change = null, int room = int.MaxValue, int used = int.MaxValue)
    {
        DeviceQueue queue = Model.Queue(Rx)!;
        List<(DeviceChain Chain, int At, int Bytes)> pieces = [];
        byte[] bytes = [.. new byte[HeaderBytes], .. frame];
        for (int at = 0; at < bytes.Length; at += pieces[^1].Bytes)
        {
            DeviceChain chain = queue.Pop() ?? throw new InvalidOperationException("no room for a frame");
            pieces.Add((chain, at, Math.Min(bytes.Length - at, Math.Min(room, (int)chain.WritableBytes))));
        }

        bytes[10] = (byte)pieces.Count;
        change?.Invoke(bytes);
        foreach ((DeviceChain chain, int at, int count) in pieces.Take(used)) queue.Use(chain, chain.Write(Model.Dma, bytes.AsSpan(at, count)));
        _ = Model.Flush(Rx);
        return pieces.Count;
    }

    /// <summary>The device sends what it has.</summary>
    public void Transmit() => _ = Transmit(int.MaxValue);

    /// <summary>The device sends some of what it has.</summary>
    /// <returns>True where the driver wanted an interrupt for that.</returns>
    public bool Transmit(int count)
    {
        DeviceQueue queue = Model.Queue(Tx)!;
        DeviceChain? late;
        do
        {
            for (; count > 0 && queue.Pop() is { } chain; count--) Take(queue, chain);
            if (count == 0) return Model.Flush(Tx);
            // Whoever asks for notifications looks once more [V §2.7.10].
            queue.WantNotifications(true);
            late = queue.Pop();
            if (late is not null) Take(queue, late);
        }
        while (late is not null);
        return Model.Flush(Tx);
    }

    /// <summary>Nobody did anything that is forbidden.</summary>
    public void AssertClean()
    {
        Assert.Empty(Model.Violations);
        Assert.Empty(Model.Dma.Faults);
    }

    public void Dispose()
    {
        Client.Dispose();
        Model.Dispose();
    }

    private void Take(DeviceQueue queue, DeviceChain chain)
    {
        SentCount++;
        if (KeepSent)
        {
            byte[] bytes = chain.Read(Model.Dma);
            SentParts.Add(chain.Readable.Count);
            Sent.Add((bytes[..HeaderBytes], bytes[HeaderBytes..]));
        }
        else
        {
            _ = Model.Dma.Read(chain.Readable[0].At, _drain);
        }

        if (chain.Writable.Count != 0) throw new InvalidOperationException("a writable part in the transmit queue");
        queue.Use(chain, 0);
    }

    private void OnNotify(ushort queue)
    {
        if (queue == Tx && TransmitAtOnce) Transmit();
        if (queue == ControlAt) Obey();
    }

    /// <summary>It follows all pairs that there are [V §5.1.2].</summary>
    private ushort ControlAt => (Model.Accepted & VirtioNetFeatures.MultiQueue) != 0 ? (ushort)(2 * Model.Config[8]) : ControlNumber;

    private void Obey()
    {
        DeviceQueue queue = Model.Queue(ControlAt)!;
        while (queue.Pop() is { } chain)
        {
            byte[] bytes = chain.Read(Model.Dma);
            Commands.Add((bytes[0], bytes[1], bytes[2..]));
            int answer = Answer(bytes[0], bytes[1]);
            if (answer < -1) return;
            queue.Use(chain, answer < 0 ? 0 : chain.Write(Model.Dma, [(byte)answer]));
        }

        queue.WantNotifications(true);
        _ = Model.Flush(ControlAt);
    }
}
