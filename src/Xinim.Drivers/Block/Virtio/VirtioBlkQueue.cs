using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text;
using Xinim.Drivers.Virtio.Queues;
using Xinim.Drivers.Virtio.Transports;
using Xinim.Ipc.Protocols;
using Xinim.Ipc.Rings;
using Xinim.Vfio;
using Xinim.Vfio.Dma;

namespace Xinim.Drivers.Block.Virtio;

/// <summary>A request queue, whatever its layout [V §5.2.2].</summary>
internal abstract class VirtioBlkQueue
{
    /// <summary>Parts that a request has beside its data: header and status [V §5.2.6].</summary>
    public const uint ExtraParts = 2;

    public abstract bool Busy { get; }

    /// <summary>Requests that the device is done with, free-running.</summary>
    public ulong Done { get; protected set; }

    public ulong Doorbells { get; protected set; }

    public abstract void SetUp(IVirtioTransport transport, ushort queue, int? vector);

    /// <summary>Asks for the serial number and waits for it; nothing else may be out.</summary>
    /// <returns>Empty where the device has none.</returns>
    public abstract string ReadId();

    /// <summary>Hands a request to the queue, for <see cref="Notify"/> to show.</summary>
    /// <returns>False where it has no room.</returns>
    public abstract bool TryGive(in BlockCommand command, uint sectorsPerBlock);

    /// <summary>Shows the device what it was given.</summary>
    public abstract void Notify();

    /// <summary>Gives finished requests back.</summary>
    /// <param name="room">Elements that the ring has room for.</param>
    /// <param name="put">Elements filled so far; counted on.</param>
    public abstract void Complete(RingView<BlockCompletion> slots, uint room, ref uint put, ref BlockStatistics statistics);

    public abstract void Arm();

    public abstract void Mask();
}

/// <summary>
/// Each request has a place in the driver's memory for its header and its status; the data goes between the device and the client's memory. What the
/// driver must remember of a request is kept where the device does not reach.
/// </summary>
internal sealed class VirtioBlkQueue<TQueue> : VirtioBlkQueue
    where TQueue : struct, IVirtQueue
{
    private const uint IdBytes = 20; // VIRTIO_BLK_ID_BYTES [V §5.2.6]
    private static readonly TimeSpan s_idLimit = TimeSpan.FromSeconds(10);

    private readonly DmaBuffer<VirtioBlkRequest> _requests;
    private readonly DmaBuffer<byte> _id;
    private readonly Given[] _given;
    private readonly uint[] _free;
    private readonly VirtSegment[] _parts;
#pragma warning disable IDE0044 // a struct that changes: readonly would have each call work on a copy
    private TQueue _queue;
#pragma warning restore IDE0044
    private readonly uint _blockBytes;
    private uint _freeCount;
    private VirtioDoorbell? _doorbell;
    private string _name = "";

    /// <param name="info">The device's limits.</param>
    public VirtioBlkQueue(TQueue queue, DmaArena arena, in BlockDeviceInfo info)
    {
        _queue = queue;
        _blockBytes = info.LogicalBlockBytes;
        _requests = arena.Allocate<VirtioBlkRequest>(queue.Size, VirtioBlkRequest.Stride);
        _id = arena.Allocate<byte>(32, 64);
        _given = new Given[queue.Size];
        _parts = new VirtSegment[info.MaxSegments + ExtraParts + 1];
        _free = new uint[queue.Size];
        for (uint i = 0; i < _free.Length; i++) _free[i] = (uint)_free.Length - 1 - i;
        _freeCount = (uint)_free.Length;
    }

    public override bool Busy => _queue.Outstanding != 0;

    public override void SetUp(IVirtioTransport transport, ushort queue, int? vector)
    {
        _name = $"{transport.Name}, queue {queue}";
        _queue.DisableInterrupts();
        _doorbell = transport.SetUpQueue(queue, _queue.Memory, vector);
    }

    public override string ReadId()
    {
        _requests[0] = VirtioBlkRequest.ForId();
        _id.Fill(0);
        Iova at = _requests.Iova;
        ReadOnlySpan<VirtSegment> parts = [new(at, VirtioBlkRequest.HeaderBytes), new(_id.Iova, IdBytes), new(at + VirtioBlkRequest.StatusAt, 1)];
        if (_queue.Add(parts, 1) < 0) return "";
        Notify();
        long start = Stopwatch.GetTimestamp();
        while (_queue.Take(out _) < 0)
        {
            if (Stopwatch.GetElapsedTime(start) > s_idLimit) throw new DeviceFaultException($"{_name}: GET_ID is not answered within {s_idLimit.TotalSeconds:0} s [V §5.2.6]");
            Thread.Yield();
        }

        if (StatusOf(0) != BlockStatus.Ok) return "";
        Span<byte> text = stackalloc byte[(int)IdBytes];
        for (int i = 0; i < text.Length; i++) text[i] = _id[(uint)i];
        int end = text.IndexOf((byte)0);
        // No more than one word of plain text: it is shown, and compared.
        return string.Concat(Encoding.Latin1.GetString(end < 0 ? text : text[..end]).Trim().Where(character => character is > ' ' and <= '~'));
    }

    public override bool TryGive(in BlockCommand command, uint sectorsPerBlock)
    {
        if (_freeCount == 0) return false;
        uint place = _free[_freeCount - 1];
        ref VirtioBlkRequest request = ref _requests[place];
        VirtioBlkRequest header = VirtioBlkRequest.For(command, sectorsPerBlock);
        request = header;
        Iova at = _requests.Iova + ((ulong)place * VirtioBlkRequest.Stride);
        int count = 0;
        _parts[count++] = new VirtSegment(at, VirtioBlkRequest.HeaderBytes);
        if (header.HasRange) _parts[count++] = new VirtSegment(at + VirtioBlkRequest.RangeAt, VirtioBlkRequest.RangeBytes);
        foreach (DmaSegment segment in command.Segments)
            _parts[count++] = new VirtSegment(segment.Iova, command.Operation == BlockOperation.GetId ? IdBytes : segment.Length);
        int readable = command.DeviceWrites ? 1 : count;
        _parts[count++] = new VirtSegment(at + VirtioBlkRequest.StatusAt, 1);
        int number = _queue.Add(_parts.AsSpan(0, count), readable);
        if (number < 0) return false;
        _freeCount--;
        _given[number] = new Given(command.Cookie, command.Lba, command.Count, place, command.Operation);
        return true;
    }

    public override void Notify()
    {
        if (!_queue.Publish()) return;
        _doorbell!.Ring();
        Doorbells++;
    }

    public override void Complete(RingView<BlockCompletion> slots, uint room, ref uint put, ref BlockStatistics statistics)
    {
        while (put < room)
        {
            int number = _queue.Take(out _);
            if (number < 0) return;
            Given given = _given[number];
            _free[_freeCount++] = given.Place;
            BlockStatus status = StatusOf(given.Place);
            slots[put++] = new BlockCompletion(given.Cookie, status, 0, status == BlockStatus.Ok ? 0 : given.Lba);
            Done++;
            Count(given, status, ref statistics);
        }
    }

    public override void Arm() => _ = _queue.EnableInterrupts();

    public override void Mask() => _queue.DisableInterrupts();

    private BlockStatus StatusOf(uint place)
    {
        byte status = Volatile.Read(ref _requests[place].Status);
        return status switch
        {
            VirtioBlkRequest.Ok => BlockStatus.Ok,
            VirtioBlkRequest.IoError => BlockStatus.IoError,
            VirtioBlkRequest.Unsupported => BlockStatus.Unsupported,
            _ => throw new DeviceFaultException($"{_name}: a finished request has status {status} [V §5.2.6]"),
        };
    }

    private void Count(in Given given, BlockStatus status, ref BlockStatistics statistics)
    {
        if (status != BlockStatus.Ok) statistics.Errors++;
        switch (given.Operation)
        {
            case BlockOperation.Read: statistics.Reads++; if (status == BlockStatus.Ok) statistics.ReadBytes += (ulong)given.Blocks * _blockBytes; break;
            case BlockOperation.Write: statistics.Writes++; if (status == BlockStatus.Ok) statistics.WrittenBytes += (ulong)given.Blocks * _blockBytes; break;
            case BlockOperation.Flush: statistics.Flushes++; break;
            case BlockOperation.Discard: statistics.Discards++; break;
            case BlockOperation.WriteZeroes: statistics.WriteZeroes++; break;
        }
    }

    /// <summary>A request that is with the device.</summary>
    [StructLayout(LayoutKind.Auto)]
    private readonly record struct Given(ulong Cookie, ulong Lba, uint Blocks, uint Place, BlockOperation Operation);
}
