using System.Buffers.Binary;
using Microsoft.Win32.SafeHandles;
using Xinim.Drivers.Virtio;
using Xinim.Drivers.Virtio.Transports;
using Xinim.Ipc.Native;
using Xinim.Ipc.Sandboxing;
using Xinim.TestKit.Virtio;
using Xinim.Vfio;
using Xinim.Vfio.Dma;
using Xinim.Vfio.VhostUser;

namespace Xinim.HostileDriver;

/// <summary>No attack: all that a driver does with a vhost-user device, behind the tight filter where it may come that late.</summary>
internal static class BlockProbe
{
    private const int Data = 4096;

    public static int Run(Victim victim, SafeFileHandle? requests)
    {
        SelfRestraint.Begin();
        using VhostUserDevice device = VhostUserDevice.FromHandles(victim.Device, requests, victim.DeviceName);
        using IDeviceInterrupts interrupts = device.EnableInterrupts(InterruptKind.MsiX, 2);
        using VhostUserTransport transport = new(device, interrupts);
        transport.Reset();
        transport.Status = VirtioStatus.Acknowledge;
        transport.WriteFeatures(VirtioFeatures.Version1);
        SelfRestraint.Tighten();
        transport.SetConfigVector(1);
        byte[] capacity = new byte[8];
        transport.ReadConfig(0, capacity, 4);
        RawBlockQueue queue = new(device, 0, victim.Work, new Iova(victim.WorkIova), 0);
        transport.Synchronize();
        queue.Submit(5, new Iova(victim.WorkIova + Data), 512);
        do
        {
            if (Descriptor.Poll(30_000, interrupts.EventOf(0)) == 0) throw new DeviceFaultException("no interrupt");
            interrupts.Acknowledge(0);
        }
        while (!queue.IsDone);

        interrupts.Acknowledge(1);
        interrupts.Mask(0);
        transport.Reset();
        victim.Say($"BLOCK {BinaryPrimitives.ReadUInt64LittleEndian(capacity)} sectors, sector 5 holds {victim.Work.Slice(Data, 1)[0]}, outcome {queue.Outcome}");
        return victim.ServeToTheEnd();
    }
}
