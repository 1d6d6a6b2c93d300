using Microsoft.Win32.SafeHandles;
using Xinim.Ipc;
using Xinim.Ipc.Channels;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Native;
using Xinim.Ipc.Protocols;
using Xinim.Ipc.Sandboxing;
using Xinim.Vfio;
using Xinim.Vfio.Dma;

namespace Xinim.Drivers.Hosting;

/// <summary>
/// The life of a driver process. Read this first: it is inherited one socket, receives over it what it may use, brings its device up, says
/// Ready and runs its loop until it is told to stop, its supervisor is gone, or its device is broken. It repairs nothing: a fault is reported
/// and ends the process, and the supervisor starts the next one.
/// </summary>
public static class DriverProcess
{
    /// <summary>The descriptor that a driver process is started with.</summary>
    public const int ChannelDescriptor = 3;

    private const int ExitStopped = 0;
    private const int ExitUsage = 2;
    private const int ExitFault = 3;

    /// <summary>Runs one driver. Call it from Main and return its result.</summary>
    /// <param name="drivers">Drivers of this executable by the name that their manifests use.</param>
    /// <returns>Exit status: 0 stopped as asked, 2 not started by a supervisor, 3 fault.</returns>
    public static int Run(IReadOnlyDictionary<string, DriverEntry> drivers)
    {
        using Channel channel = new(new SafeFileHandle(ChannelDescriptor, ownsHandle: true));
        try
        {
            channel.SendText(new MessageHeader((uint)ControlMessage.Hello, 0, 0), string.Join(' ', drivers.Keys));
        }
        catch (ChannelException exception)
        {
            System.Console.Error.WriteLine($"xinim-driver is started by 'xinim daemon', which gives it a device: {exception.Message}");
            return ExitUsage;
        }

        ChannelMessage start;
        try
        {
            // A standby: Start comes when it is needed, or never. Until then there is time.
            if (Descriptor.Poll(TimeSpan.Zero, channel.Handle) == 0) ProgramPages.Load();
            start = channel.Receive(Timeout.InfiniteTimeSpan);
        }
        catch (ChannelException)
        {
            return ExitStopped;
        }

        SelfRestraint.Begin();
        using (start) return RunDriver(channel, start, drivers);
    }

    private static int RunDriver(Channel channel, ChannelMessage start, IReadOnlyDictionary<string, DriverEntry> drivers)
    {
        uint generation = start.Header.Generation;
        try
        {
            StartMessage what = start.Get<StartMessage>();
            if (!drivers.TryGetValue(what.Driver.ToString(), out DriverEntry? entry))
                throw new LinuxException($"this executable has no driver '{what.Driver}'; it has {string.Join(", ", drivers.Keys)}");
            using SharedRegion work = SharedRegion.Open(start.TakeHandle(0), checked((long)what.Work.Size), RegionAccess.ReadWrite);
            using SharedRegion vital = SharedRegion.Open(start.TakeHandle(1), VitalSigns.Bytes, RegionAccess.ReadWrite);
            using IDevice device = OpenDevice(start, what);
            using IDeviceInterrupts interrupts = RouteInterrupts(device, entry.Vectors);
            DmaRegion region = new(what.Work.Id, new Iova(what.Work.Iova), work.Size, what.Work.DeviceAccess, work);
            DriverContext context = new(device, interrupts, new DmaArena(region), line => Tell(channel, ControlMessage.Log, generation, line))
            {
                Options = what.Options.ToDictionary(),
            };
            LoopSetup setup = new(channel, generation, interrupts, region, new Heart(vital, what.HeartbeatPeriod), what.Poll != 0, what.Filters);
            using IDriverLoop loop = entry.MakeLoop(context, setup);
            loop.Run(start.Header.Request);
            return ExitStopped;
        }
        catch (Exception exception) when (exception is DeviceFaultException or LinuxException or ChannelException or ArgumentException or InvalidOperationException)
        {
            Tell(channel, ControlMessage.Fault, generation, exception.Message);
            return ExitFault;
        }
        catch (Exception exception) when (exception is not OutOfMemoryException)
        {
            // A defect of the driver. The runtime would say it to a standard error that leads nowhere.
            Tell(channel, ControlMessage.Fault, generation, $"{exception}");
            return ExitFault;
        }
    }

    private static IDeviceInterrupts RouteInterrupts(IDevice device, int wanted)
    {
        InterruptKind kind = device.Interrupts.Best(1);
        return device.EnableInterrupts(kind, Math.Clamp(wanted, 1, Math.Max(1, device.Interrupts.Vectors(kind))));
    }

    private static IDevice OpenDevice(ChannelMessage start, in StartMessage what)
    {
        SafeFileHandle[] handles = new SafeFileHandle[what.DeviceHandles];
        for (int i = 0; i < handles.Length; i++) handles[i] = start.TakeHandle(i + 2);
        return DeviceFactory.Open((BackendKind)what.Backend, what.Device.ToString(), handles);
    }

    private static void Tell(Channel channel, ControlMessage type, uint generation, string text)
    {
        try
        {
            channel.SendText(new MessageHeader((uint)type, generation, 0), text);
        }
        catch (ChannelException)
        {
            // The supervisor is gone; the loop will see that. There is nobody else to tell.
            System.Console.Error.WriteLine(text);
        }
    }
}
