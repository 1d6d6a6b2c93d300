using Xinim.Ipc.Memory;
using Xinim.Ipc.Native;
using Xinim.TestKit.Virtio;
using Xinim.Vfio.Dma;
using Xinim.Vfio.VhostUser;
using Xunit;

namespace Xinim.Vfio.Tests.VhostUser;

/// <summary>A back end that others wrote: DPDK's vhost library.</summary>
[Trait("needs", "qemu")]
public sealed class VirtualSwitchTests : IDisposable
{
    private const ulong Version1 = 1ul << 32;
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("xinim-vu-");
    private readonly VhostUserBackend _backend;
    private readonly List<IDisposable> _owned = [];

    public VirtualSwitchTests() => _backend = new VhostUserBackend(VhostUserAddress.Parse($"vhost-user-net:{Socket}"));

    private string Socket => Path.Combine(_folder.FullName, "net.sock");

    public void Dispose()
    {
        _backend.Dispose();
        foreach (IDisposable owned in _owned) owned.Dispose();
        _folder.Delete(recursive: true);
    }

    [Fact]
    public void Frames_leave_driver_after_driver_and_back_end_after_back_end()
    {
        SharedRegion transmit = Map(out Iova transmitAt), receive = Map(out Iova receiveAt);
        for (int backEnd = 0; backEnd < 2; backEnd++)
        {
            using (VirtualSwitch peer = new(Socket))
            {
                for (int life = 0; life < 5; life++)
                {
                    SendSome(transmit, transmitAt, receive, receiveAt);
                    _backend.ClearBusMaster();
                    Assert.True(_backend.Reset());
                }

                VhostUserPeer.Until(() => _backend.FindMissing() is null, "the back end is ready");
            }

            VhostUserPeer.Until(() => Descriptor.Poll(0, _backend.Lost!) != 0, "its end is noticed");
            _backend.ClearBusMaster();
            Assert.Contains($"waiting for the back end at {Socket}", _backend.FindMissing(), StringComparison.Ordinal);
        }
    }

    private void SendSome(SharedRegion transmit, Iova transmitAt, SharedRegion receive, Iova receiveAt)
    {
        VhostUserPeer.Until(() => _backend.FindMissing() is null, "the back end is ready");
        using VhostUserDevice device = VhostUserDevice.FromHandles(
            Descriptor.Duplicate(_backend.DriverHandles[0]), _backend.DriverHandles.Count > 1 ? Descriptor.Duplicate(_backend.DriverHandles[1]) : null, _backend.Name);
        using IDeviceInterrupts interrupts = device.EnableInterrupts(InterruptKind.MsiX, 2);
        device.SetConfigVector(0);
        device.Reset();
        // What the library could have, 128 pairs, whatever the program was told.
        Assert.InRange(device.QueueCount, 2, 256);
        Assert.False(device.TryReadConfig(new byte[6]));
        device.WriteFeatures(Version1);
        _ = new RawNetQueue(device, 0, receive, receiveAt, 0);
        RawNetQueue queue = new(device, 1, transmit, transmitAt, 1);
        if (device.Protocol.HasFlag(VhostUserFeatures.Status)) device.WriteStatus(15);
        for (int batch = 1; batch <= 10; batch++)
        {
            // While it runs, memory comes and goes.
            SharedRegion region = Map(out Iova at);
            device.Synchronize();
            queue.Send(32);
            VhostUserPeer.Until(() => queue.UsedCount == 32 * batch, $"batch {batch} is sent");
            _backend.Unmap(at, region.Size);
        }

        Assert.NotEqual(0u, Descriptor.Poll(30_000, interrupts.EventOf(1)));
        interrupts.Acknowledge(0);
        device.Reset();
    }

    private SharedRegion Map(out Iova at)
    {
        SharedRegion region = SharedRegion.Create("data", 2 << 20);
        _owned.Add(region);
        at = _backend.Map(region, RegionAccess.ReadWrite);
        return region;
    }
}
