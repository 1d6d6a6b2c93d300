using System.Buffers.Binary;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Native;
using Xinim.TestKit.Virtio;
using Xinim.Vfio.Dma;
using Xinim.Vfio.VhostUser;
using Xunit;

namespace Xinim.Vfio.Tests.VhostUser;

/// <summary>A back end that others wrote: libvhost-user in qemu-storage-daemon.</summary>
[Trait("needs", "qemu")]
public sealed class StorageDaemonTests : IDisposable
{
    private const ulong Version1 = 1ul << 32;
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("xinim-vu-");
    private readonly List<IDisposable> _owned = [];
    private readonly StorageDaemon _daemon;
    private readonly VhostUserBackend _backend;
    private readonly SharedRegion _ring = SharedRegion.Create("ring", 2 << 20);
    private readonly Iova _ringAt;

    public StorageDaemonTests()
    {
        _daemon = new StorageDaemon(_folder.FullName);
        _backend = new VhostUserBackend(VhostUserAddress.Parse($"vhost-user-blk:{_daemon.Socket}"));
        _ringAt = _backend.Map(_ring, RegionAccess.ReadWrite);
    }

    public void Dispose()
    {
        foreach (IDisposable owned in _owned) owned.Dispose();
        _backend.Dispose();
        _ring.Dispose();
        _daemon.Dispose();
        _folder.Delete(recursive: true);
    }

    [Fact]
    public void It_shows_what_a_block_device_is()
    {
        _daemon.Start();
        VhostUserDevice device = Open();
        Assert.True((device.ReadFeatures() & (Version1 | 1ul << 30 | 1ul << 9)) == (Version1 | 1ul << 30 | 1ul << 9));
        Assert.Equal(StorageDaemon.Queues, device.QueueCount);
        Assert.True(device.Protocol.HasFlag(VhostUserFeatures.MemorySlots | VhostUserFeatures.Config | VhostUserFeatures.ReplyAck | VhostUserFeatures.BackendRequests));
        byte[] config = new byte[36];
        Assert.True(device.TryReadConfig(config));
        Assert.Equal((ulong)StorageDaemon.Sectors, BinaryPrimitives.ReadUInt64LittleEndian(config));
        Assert.Equal(StorageDaemon.Queues, BinaryPrimitives.ReadUInt16LittleEndian(config.AsSpan(34)));
    }

    [Fact]
    public void It_reads_into_each_of_several_regions_through_each_queue_and_signals_the_vector()
    {
        _daemon.Start();
        VhostUserDevice device = Open();
        using IDeviceInterrupts interrupts = device.EnableInterrupts(InterruptKind.MsiX, StorageDaemon.Queues);
        device.SetConfigVector(0);
        device.WriteFeatures(Version1);
        for (uint queue = 0; queue < StorageDaemon.Queues; queue++)
        {
            RawBlockQueue raw = new(device, queue, Map(out Iova ringAt), ringAt, (int)queue);
            AwaitAndTake(interrupts, (int)queue, () => true);
            SharedRegion data = Map(out Iova at);
            device.Synchronize();
            for (ulong sector = 1; sector < 40; sector++)
            {
                raw.Submit(sector + queue, at + 512, 1024);
                AwaitAndTake(interrupts, (int)queue, () => raw.IsDone);
                Assert.Equal((0, (byte)(sector + queue), (byte)(sector + queue + 1)), (raw.Outcome, data.Slice(512, 1)[0], data.Slice(512 + 1023, 1)[0]));
                Assert.Equal(0, data.Slice(511, 1)[0] | data.Slice(512 + 1024, 1)[0]);
            }
        }
    }

    [Fact]
    public void A_buffer_in_no_region_costs_the_connection_and_no_more()
    {
        _daemon.Start();
        VhostUserDevice device = Open();
        device.WriteFeatures(Version1);
        RawBlockQueue raw = new(device, 0, _ring, _ringAt, null);
        raw.Submit(0, new Iova(1ul << 40), 512);
        VhostUserPeer.Until(() => Descriptor.Poll(0, _backend.Lost!) != 0, "the connection ends");
        Assert.Throws<DeviceFaultException>(device.Synchronize);
        Reincarnate();
        ReadSomething();
    }

    [Fact]
    public void A_driver_that_dies_in_the_middle_is_followed_by_one_with_a_new_connection()
    {
        _daemon.Start();
        for (int life = 0; life < 20; life++)
        {
            VhostUserDevice device = Open();
            device.WriteFeatures(Version1);
            RawBlockQueue raw = new(device, 0, _ring, _ringAt, null);
            raw.Submit((ulong)life, _ringAt + 4096, 64 << 10);
            Reincarnate();
        }

        ReadSomething();
    }

    [Fact]
    public void When_it_comes_back_from_a_crash_the_next_driver_goes_on()
    {
        Assert.Contains("No such file or directory", _backend.FindMissing(), StringComparison.Ordinal);
        _daemon.Start();
        ReadSomething();
        for (int life = 0; life < 3; life++)
        {
            Assert.Equal(0u, Descriptor.Poll(0, _backend.Lost!));
            _daemon.Kill();
            VhostUserPeer.Until(() => Descriptor.Poll(0, _backend.Lost!) != 0, "its end is noticed");
            Reincarnate();
            Assert.Contains("Connection refused", _backend.FindMissing(), StringComparison.Ordinal);
            _daemon.Start();
            ReadSomething();
        }
    }

    [Fact]
    public void What_is_in_flight_keeps_the_next_driver_waiting()
    {
        _daemon.StartSlow();
        VhostUserDevice device = Open();
        device.WriteFeatures(Version1);
        RawBlockQueue raw = new(device, 0, _ring, _ringAt, null);
        raw.Submit(0, _ringAt + 4096, 4096);
        VhostUserPeer.Until(() => raw.IsDone, "the first is done");
        raw.Submit(8, _ringAt + 4096, 4096);
        raw.Submit(16, _ringAt + 8192, 4096);
        device.Synchronize();
        bool wasInFlight = !raw.IsDone;
        Reincarnate();
        int looks = 0;
        VhostUserPeer.Until(() =>
        {
            looks++;
            return _backend.FindMissing() is null;
        }, "it has finished");
        // Nothing is written any more: whatever was in flight had its end before the next connection was answered.
        byte[] before = _ring.Slice(4096, 8192).ToArray();
        Assert.True(wasInFlight && looks > 1, $"in flight {wasInFlight}, {looks} looks");
        ReadSomething(24);
        Assert.Equal(before, _ring.Slice(4096, 8192).ToArray());
    }

    private static void AwaitAndTake(IDeviceInterrupts interrupts, int vector, Func<bool> until)
    {
        do
        {
            Assert.NotEqual(0u, Descriptor.Poll(30_000, interrupts.EventOf(vector)));
            interrupts.Acknowledge(vector);
        }
        while (!until());
    }

    private void Reincarnate()
    {
        foreach (IDisposable device in _owned.OfType<VhostUserDevice>()) device.Dispose();
        _owned.RemoveAll(owned => owned is VhostUserDevice);
        _backend.DisableInterrupts();
        _backend.ClearBusMaster();
        Assert.True(_backend.Reset());
    }

    private void ReadSomething(ulong sector = 7)
    {
        VhostUserDevice device = Open();
        device.WriteFeatures(Version1);
        RawBlockQueue raw = new(device, 0, _ring, _ringAt, null);
        raw.Submit(sector, _ringAt + (64 << 10), 512);
        VhostUserPeer.Until(() => raw.IsDone, "a sector is read");
        Assert.Equal((0, (byte)sector), (raw.Outcome, _ring.Slice(64 << 10, 1)[0]));
        device.Reset();
    }

    private SharedRegion Map(out Iova at)
    {
        SharedRegion region = SharedRegion.Create("data", 4096, PageChoice.Ordinary);
        _owned.Add(region);
        at = _backend.Map(region, RegionAccess.ReadWrite);
        return region;
    }

    private VhostUserDevice Open()
    {
        VhostUserPeer.Until(() => _backend.FindMissing() is null, "the back end is ready");
        VhostUserDevice device = VhostUserDevice.FromHandles(Descriptor.Duplicate(_backend.DriverHandles[0]), Descriptor.Duplicate(_backend.DriverHandles[1]), _backend.Name);
        _owned.Insert(0, device);
        return device;
    }
}
