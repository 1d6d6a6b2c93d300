using System.Diagnostics;
using Microsoft.Win32.SafeHandles;
using Xinim.Drivers;
using Xinim.Drivers.Block;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Native;
using Xinim.Ipc.Protocols;
using Xinim.Vfio;
using Xinim.Vfio.Dma;
using Xinim.Vfio.Remote;

namespace Xinim.TestKit.Remote;

/// <summary>One of QEMU's own disks on an image file, a driver on it in this process, and a client: its rings and a pool.</summary>
public sealed class QemuDisk : IDisposable
{
    private const uint Depth = 256;
    private readonly QemuSeat<IBlockDriver> _seat;
    private readonly SafeFileHandle _event = Descriptor.CreateEvent();
    private readonly SharedRegion _rings;
    private readonly BlockRings.DriverEnd _driver;
    private readonly BlockRings.ClientEnd _client;
    private readonly DmaRegion _pool;
    private readonly Grant _grant;
    private readonly Dictionary<ulong, BlockCompletion> _answers = [];
    private ulong _cookie;

    /// <param name="model">QEMU's name of the device.</param>
    /// <param name="drive">Path of the image, with <c>,read-only=on</c> if need be.</param>
    /// <param name="make">Makes a driver.</param>
    /// <param name="properties">Of the model.</param>
    public QemuDisk(string model, string drive, Func<DriverContext, IBlockDriver> make, params KeyValuePair<string, string>[] properties)
    {
        _seat = new QemuSeat<IBlockDriver>(RemoteModel.Parse($"remote:{model}", drives: [drive], properties: properties), make, 4 << 20);
        RingShape shape = new(Depth, Depth, 1);
        _rings = BlockRings.Create(shape);
        _driver = new BlockRings.DriverEnd(_rings, shape, _event, _event);
        _client = new BlockRings.ClientEnd(_rings, shape, _event, _event);
        _pool = _seat.Map("pool", 8 << 20, RegionAccess.ReadWrite);
        _grant = new GrantTable().Create(_pool.Id, (ulong)_pool.Size, 0, (ulong)_pool.Size, RegionAccess.ReadWrite);
    }

    public IBlockDriver Driver => _seat.Driver;

    public IPciDevice Device => _seat.Device;

    public IDeviceInterrupts Interrupts => _seat.Interrupts;

    /// <summary>The client's.</summary>
    public Span<byte> Memory => _pool.Memory!.Slice(0, (int)_pool.Size);

    /// <summary>Starts the driver and gives it the client.</summary>
    public BlockDeviceInfo Start()
    {
        BlockDeviceInfo info = Driver.Start();
        Attach();
        return info;
    }

    public void Attach() => Driver.Attach(new BufferTable([_grant], [_pool]));

    /// <summary>A new driver, after <see cref="QemuSeat{TDriver}.Reincarnate"/>; what was asked of the last one is forgotten.</summary>
    public BlockDeviceInfo Reincarnate(bool reset)
    {
        _seat.Reincarnate(reset);
        return Start();
    }

    /// <summary>Asks for something; memory is pieces of the pool, all behind each other from <paramref name="offset"/> on.</summary>
    /// <returns>The cookie.</returns>
    public ulong Submit(BlockOperation operation, ulong lba, uint count, int offset, params ReadOnlySpan<int> pieces)
    {
        _cookie++;
        uint elements = (uint)Math.Max(1, (pieces.Length + BlockRequest.SegmentsPerElement - 1) / BlockRequest.SegmentsPerElement);
        if (_client.Submitted.Reserve(elements) < elements) throw new InvalidOperationException("the ring is full");
        for (uint element = 0; element < elements; element++)
        {
            BlockRequest request = new() { Cookie = _cookie, Lba = lba, Count = count, Operation = operation, Flags = element + 1 < elements ? BlockFlags.More : BlockFlags.None };
            while (request.SegmentCount < BlockRequest.SegmentsPerElement && !pieces.IsEmpty)
            {
                request.Segments[request.SegmentCount++] = new BlockSegment(_grant.Handle, (uint)offset, (uint)pieces[0]);
                offset += pieces[0];
                pieces = pieces[1..];
            }

            _client.Submitted[element] = request;
        }

        _client.Submitted.Publish(elements);
        return _cookie;
    }

    /// <summary>One round of the host's loop.</summary>
    public void Poll()
    {
        _ = Driver.Complete(_driver.Completed);
        _ = Driver.Submit(_driver.Submitted);
        uint count = _client.Completed.Peek(Depth);
        for (uint i = 0; i < count; i++) _answers.Add(_client.Completed.Read(i).Cookie, _client.Completed.Read(i));
        if (count != 0) _client.Completed.Release(count);
    }

    /// <summary>Polls until this is answered, exactly once.</summary>
    public BlockStatus Await(ulong cookie, int milliseconds = 20_000)
    {
        BlockCompletion answer;
        long start = Stopwatch.GetTimestamp();
        while (!_answers.Remove(cookie, out answer))
        {
            if (Stopwatch.GetElapsedTime(start).TotalMilliseconds > milliseconds) throw new TimeoutException($"request {cookie} is not answered within {milliseconds} ms");
            _ = Descriptor.Poll(1, Interrupts.EventOf(0));
            Poll();
        }

        return answer.Status;
    }

    /// <summary>Asks and waits.</summary>
    public BlockStatus Run(BlockOperation operation, ulong lba, uint count, int offset, params ReadOnlySpan<int> pieces) => Await(Submit(operation, lba, count, offset, pieces));

    /// <summary>Waits for the interrupt.</summary>
    public bool AwaitInterrupt(int milliseconds) => Descriptor.Poll(milliseconds, Interrupts.EventOf(0)) != 0;

    public void Dispose()
    {
        _seat.Dispose();
        _rings.Dispose();
        _event.Dispose();
    }
}
