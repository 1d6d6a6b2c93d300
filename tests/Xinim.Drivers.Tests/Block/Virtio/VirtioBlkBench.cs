using System.Buffers.Binary;
using Microsoft.Win32.SafeHandles;
using Xinim.Drivers.Block.Virtio;
using Xinim.Drivers.Virtio;
using Xinim.Drivers.Virtio.Transports;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Native;
using Xinim.Ipc.Protocols;
using Xinim.TestKit.Virtio;
using Xinim.Vfio.Dma;
using Xunit;

namespace Xinim.Drivers.Tests.Block.Virtio;

/// <summary>A block device in this process, the driver on it, a client's rings and its memory.</summary>
internal sealed class VirtioBlkBench : IDisposable
{
    public const VirtioFeatures Bus = VirtioFeatures.Version1 | VirtioFeatures.AccessPlatform;

    /// <summary>All that the driver takes, but READ_ONLY.</summary>
    public const VirtioFeatures Everything = Bus | VirtioFeatures.EventIndex | VirtioFeatures.RingPacked | VirtioFeatures.IndirectDescriptors | VirtioFeatures.OrderPlatform
        | (VirtioBlkFeatures.Known & ~VirtioBlkFeatures.ReadOnly);

    // VIRTIO_BLK_T_* [V §5.2.6].
    public const uint In = 0, Out = 1, Flush = 4, GetId = 8, Discard = 11, WriteZeroes = 13;

    private readonly SharedRegion _rings;
    private readonly SafeFileHandle _event = Descriptor.CreateEvent();
    private readonly GrantTable _grants = new();

    /// <param name="config">See <see cref="Config"/>.</param>
    public VirtioBlkBench(VirtioFeatures features = Everything, VirtioBlkOptions? options = null, byte[]? config = null, Func<VirtioModelOptions, VirtioModelOptions>? device = null)
    {
        VirtioModelOptions usual = new(VirtioDeviceType.Block) { Features = features, Config = config ?? Config(), Queues = 4, NeedsAccessPlatform = true };
        Model = new VirtioModel(device?.Invoke(usual) ?? usual);
        Arena = new DmaArena(Model.Dma.Map("work", 8 << 20, RegionAccess.ReadWrite));
        Pool = Model.Dma.Map("pool", 1 << 20, RegionAccess.ReadWrite);
        ReadOnlyPool = Model.Dma.Map("read-only pool", 1 << 16, RegionAccess.Read);
        Grant = _grants.Create(Pool.Id, (ulong)Pool.Size, 0, (ulong)Pool.Size, RegionAccess.ReadWrite).Handle;
        ReadOnlyGrant = _grants.Create(ReadOnlyPool.Id, (ulong)ReadOnlyPool.Size, 0, (ulong)ReadOnlyPool.Size, RegionAccess.Read).Handle;
        RingShape shape = new(256, 256, 1);
        _rings = BlockRings.Create(shape);
        DriverEnd = new BlockRings.DriverEnd(_rings, shape, _event, _event);
        Client = new BlockRings.ClientEnd(_rings, shape, _event, _event);
        Driver = new VirtioBlkDriver(Model, Arena, Log.Add, options ?? new VirtioBlkOptions());
        Model.Notify = queue =>
        {
            if (!Hold) Serve(queue);
        };
    }

    public VirtioModel Model { get; }

    public DmaArena Arena { get; }

    public VirtioBlkDriver Driver { get; }

    public BlockRings.DriverEnd DriverEnd { get; }

    public BlockRings.ClientEnd Client { get; }

    /// <summary>The client's memory.</summary>
    public DmaRegion Pool { get; }

    public DmaRegion ReadOnlyPool { get; }

    public uint Grant { get; }

    public uint ReadOnlyGrant { get; }

    public List<string> Log { get; } = [];

    public byte[] Disk { get; } = new byte[1 << 20];

    /// <summary>What it answers to GET_ID.</summary>
    public byte[] Id { get; set; } = [.. "disk-4711"u8, 0];

    /// <summary>Requests as the device saw them.</summary>
    public List<Seen> Requests { get; } = [];

    /// <summary>The status of a request; below 0: used without one.</summary>
    public Func<Seen, int> Answer { get; set; } = _ => 0;

    /// <summary>The device leaves requests in the queue until <see cref="Serve"/>.</summary>
    public bool Hold { get; set; }

    /// <summary>False: every request succeeds, and is not written down.</summary>
    public bool KeepRequests { get; set; } = true;

    /// <summary>struct virtio_blk_config [V §5.2.4] of a disk of 1 MiB.</summary>
    public static byte[] Config(ulong sectors = 2048, uint block = 512, uint segments = 254, uint size = 1 << 20, ushort queues = 4)
    {
        byte[] config = new byte[60];
        BinaryPrimitives.WriteUInt64LittleEndian(config, sectors);
        Put(config, 8, size);
        Put(config, 12, segments);
        Put(config, 20, block);
        (config[24], config[25], config[26], config[28]) = (3, 1, 8, 64);
        config[32] = 1;
        BinaryPrimitives.WriteUInt16LittleEndian(config.AsSpan(34), queues);
        Put(config, 36, 1024);
        Put(config, 40, 4);
        Put(config, 44, 8);
        Put(config, 48, 512);
        Put(config, 52, 4);
        config[56] = 1;
        return config;
    }

    public static void Put(byte[] config, int offset, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(config.AsSpan(offset), value);

    /// <summary>Starts the driver and attaches the client; forgets what it asked the device by then.</summary>
    public VirtioBlkBench Started()
    {
        _ = Driver.Start();
        Attach();
        Requests.Clear();
        return this;
    }

    public void Attach() => Driver.Attach(new BufferTable([.. _grants.Active], [Pool, ReadOnlyPool]));

    /// <summary>One round of the host's loop.</summary>
    public void Poll()
    {
        _ = Driver.Submit(DriverEnd.Submitted);
        _ = Driver.Complete(DriverEnd.Completed);
    }

    /// <summary>Submits a request, in as many elements as its segments need.</summary>
    public void Submit(BlockOperation operation, ulong lba, uint count, ulong cookie, BlockFlags flags = BlockFlags.None, params ReadOnlySpan<BlockSegment> segments)
    {
        uint elements = (uint)Math.Max(1, (segments.Length + 2) / 3);
        if (Client.Submitted.Reserve(elements) < elements) throw new InvalidOperationException("the ring is full");
        for (uint i = 0; i < elements; i++)
        {
            BlockRequest request = new() { Cookie = cookie, Lba = lba, Count = count, Operation = operation, Flags = flags | (i + 1 < elements ? BlockFlags.More : 0) };
            ReadOnlySpan<BlockSegment> part = segments[(int)(3 * i)..Math.Min(segments.Length, (int)(3 * i) + 3)];
            request.SegmentCount = (ushort)part.Length;
            for (int s = 0; s < part.Length; s++) request.Segments[s] = part[s];
            Client.Submitted[i] = request;
        }

        Client.Submitted.Publish(elements);
    }

    public BlockSegment Segment(uint offset, uint length) => new(Grant, offset, length);

    /// <summary>What was completed since the last call.</summary>
    public List<BlockCompletion> Take()
    {
        uint count = Client.Completed.Peek(256);
        List<BlockCompletion> taken = [.. Enumerable.Range(0, (int)count).Select(i => Client.Completed.Read((uint)i))];
        Client.Completed.Release(count);
        return taken;
    }

    /// <summary>The device does what it finds in a queue.</summary>
    public void Serve(ushort queue)
    {
        DeviceQueue from = Model.Queue(queue)!;
        DeviceChain? late;
        do
        {
            while (from.Pop() is { } chain) Do(queue, from, chain);
            from.WantNotifications(true);
            late = from.Pop();
            if (late is not null) Do(queue, from, late);
        }
        while (late is not null);
        _ = Model.Flush(queue);
    }

    public void AssertClean()
    {
        Assert.Empty(Model.Violations);
        Assert.Empty(Model.Dma.Faults);
    }

    public void Dispose()
    {
        _rings.Dispose();
        _event.Dispose();
        Model.Dispose();
    }

    private void Do(ushort number, DeviceQueue queue, DeviceChain chain)
    {
        if (!KeepRequests)
        {
            _ = Model.Dma.Write(chain.Writable[^1].At, [0]);
            queue.Use(chain, chain.WritableBytes);
            return;
        }

        byte[] read = chain.Read(Model.Dma);
        Seen seen = new(number, BinaryPrimitives.ReadUInt32LittleEndian(read), BinaryPrimitives.ReadUInt64LittleEndian(read.AsSpan(8)), read[16..],
            [.. chain.Readable.Select(part => part.Length)], [.. chain.Writable.Select(part => part.Length)]);
        Requests.Add(seen);
        int status = Answer(seen);
        byte[] answer = new byte[chain.WritableBytes - 1];
        if (status == 0) Execute(seen, answer);
        uint written = chain.Write(Model.Dma, status < 0 ? answer : [.. answer, (byte)status]);
        queue.Use(chain, written);
    }

    private void Execute(Seen seen, byte[] answer)
    {
        if (seen.Type == In) Disk.AsSpan((int)seen.Sector * 512, answer.Length).CopyTo(answer);
        if (seen.Type == Out) seen.Data.CopyTo(Disk.AsSpan((int)seen.Sector * 512));
        if (seen.Type == GetId) Id.AsSpan(0, Math.Min(Id.Length, 20)).CopyTo(answer);
    }

    /// <summary>A request: its header, what follows it, and the lengths of its parts.</summary>
    internal sealed record Seen(ushort Queue, uint Type, ulong Sector, byte[] Data, uint[] Readable, uint[] Writable);
}
