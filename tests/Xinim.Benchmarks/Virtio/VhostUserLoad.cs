using System.Diagnostics;
using System.Globalization;
using Microsoft.Win32.SafeHandles;
using Xinim.Benchmarks.Isolation;
using Xinim.Drivers.Network.Virtio;
using Xinim.Drivers.Virtio.Transports;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Native;
using Xinim.Ipc.Protocols;
using Xinim.Ipc.Rings;
using Xinim.TestKit.Fakes;
using Xinim.Vfio;
using Xinim.Vfio.Dma;
using Xinim.Vfio.VhostUser;

namespace Xinim.Benchmarks.Virtio;

/// <summary>
/// The virtio-net driver and its client in one thread on one processor, against a vhost-user back end that polls on another: what DPDK's
/// net_virtio_user does, with the rings of a client between. Prints raw values, <c>name TAB value</c>.
/// </summary>
internal static class VhostUserLoad
{
    private const uint Buffers = 1024;
    private const uint FrameBytes = 60;
    private static readonly TimeSpan BackendLimit = TimeSpan.FromSeconds(20);

    /// <param name="arguments"><c>--socket PATH --direction transmit|receive --seconds S --packed true|false [--headroom true|false]</c>.</param>
    public static int Run(string[] arguments)
    {
        if (arguments is not ["--socket", var socket, "--direction", "transmit" or "receive", "--seconds", var secondsText, "--packed", "true" or "false", .. var rest] || !(rest is [] or ["--headroom", "true" or "false"])
            || !double.TryParse(secondsText, CultureInfo.InvariantCulture, out double seconds) || seconds is not (> 0 and < 3600))
        {
            Console.Error.WriteLine("vhost: usage: vhost --socket PATH --direction transmit|receive --seconds S --packed true|false [--headroom true|false]");
            return 2;
        }

        Processors.Pin(0);
        using VhostUserBackend backend = new(VhostUserAddress.Parse($"vhost-user-net:{socket}"));
        using SharedRegion memory = SharedRegion.Create("xinim-work", 4 << 20);
        DmaRegion work = new(0, backend.Map(memory, RegionAccess.ReadWrite), memory.Size, RegionAccess.ReadWrite, memory);
        List<SharedRegion> pools = [];
        uint id = 0;
        using FakeNetworkClient client = new((name, size, access) =>
        {
            SharedRegion region = SharedRegion.Create(name, size);
            pools.Add(region);
            return new DmaRegion(++id, backend.Map(region, access), region.Size, access, region);
        }, Buffers, Buffers);
        Await(backend);
        SafeFileHandle[] handles = [.. backend.DriverHandles.Select(handle => Descriptor.Duplicate(handle))];
        using VhostUserDevice device = VhostUserDevice.FromHandles(handles[0], handles.ElementAtOrDefault(1), backend.Name);
        using IDeviceInterrupts interrupts = device.EnableInterrupts(InterruptKind.MsiX, 3);
        VirtioNetOptions options = new() { Packed = arguments[7] == "true", Headroom = arguments is not [.., "--headroom", "false"] };
        using VirtioNetDriver driver = new(new VhostUserTransport(device, interrupts), new DmaArena(work), Console.Error.WriteLine, options);
        NetworkDeviceInfo info = driver.Start();
        client.Headroom = (arguments[3] == "transmit" ? info.TxHeadroom : info.RxHeadroom) != 0 ? NetFlags.Headroom : NetFlags.None;
        driver.Attach(client.Buffers);
        Turn turn = new(driver, client);
        string direction = arguments[3];
        ulong frames = direction == "transmit" ? turn.Transmit(seconds) : turn.Receive(seconds);
        string name = $"vhost.{direction}.{(options.Packed ? "packed" : "split")}";
        Print($"{name}.mpps", frames / turn.Seconds / 1e6);
        Print($"{name}.cycles", turn.DriverNanoseconds / frames * Processors.CyclesPerNanosecond());
        driver.Stop();
        foreach (SharedRegion pool in pools) pool.Dispose();
        return 0;
    }

    private static void Await(VhostUserBackend backend)
    {
        long start = Stopwatch.GetTimestamp();
        while (backend.FindMissing() is { } missing)
        {
            if (Stopwatch.GetElapsedTime(start) > BackendLimit) throw new TimeoutException(missing);
            _ = Descriptor.Poll(TimeSpan.FromMilliseconds(50));
        }
    }

    private static void Print(string name, double value) => Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{name}\t{value:0.000}"));

    /// <summary>Client and driver in turns.</summary>
    private sealed class Turn(VirtioNetDriver driver, FakeNetworkClient client)
    {
        private const uint Batch = 32;
        private const int TurnsPerClock = 256;
        private long _driverTicks;

        public double Seconds { get; private set; }

        /// <summary>In the driver, of the turns that moved something.</summary>
        public double DriverNanoseconds => _driverTicks * (1e9 / Stopwatch.Frequency);

        public ulong Transmit(double seconds)
        {
            RingProducer<NetBuffer> submit = client.Client.Submit;
            RingConsumer<NetBuffer> completed = client.Client.Completed;
            uint grant = client.TxGrant.Handle;
            ulong free = Buffers, sent = 0, next = 0;
            return Loop(seconds, () =>
            {
                if (free >= Batch && submit.Reserve(Batch) == Batch)
                {
                    RingView<NetBuffer> slots = submit.Reserved;
                    for (uint i = 0; i < Batch; i++, next++)
                    {
                        ref NetBuffer slot = ref slots[i];
                        slot.Grant = grant;
                        slot.Offset = FakeNetworkClient.OffsetOf((uint)(next % Buffers));
                        slot.Length = FrameBytes;
                        slot.Flags = client.Headroom;
                        slot.Cookie = next;
                    }

                    submit.Publish(Batch);
                    free -= Batch;
                }

                long start = Stopwatch.GetTimestamp();
                uint moved = driver.TxProvide(client.Driver.Submit);
                uint returned = driver.TxReturn(client.Driver.Completed);
                if (moved + returned != 0) _driverTicks += Stopwatch.GetTimestamp() - start;
                uint done = completed.Peek(completed.Capacity);
                completed.Release(done);
                free += done;
                sent += done;
                return sent;
            });
        }

        public ulong Receive(double seconds)
        {
            client.Post(Buffers);
            uint grant = client.RxGrant.Handle;
            NetFlags headroom = client.Headroom;
            RingProducer<NetBuffer> free = client.Client.Free;
            RingConsumer<NetBuffer> received = client.Client.Received;
            ulong got = 0;
            return Loop(seconds, () =>
            {
                long start = Stopwatch.GetTimestamp();
                uint given = driver.RxProvide(client.Driver.Free);
                uint returned = driver.RxReturn(client.Driver.Received);
                if (given + returned != 0) _driverTicks += Stopwatch.GetTimestamp() - start;
                uint ready = received.Peek(received.Capacity);
                if (ready == 0) return got;
                _ = free.Reserve(ready);
                RingView<NetBuffer> from = received.Ready, to = free.Reserved;
                for (uint i = 0; i < ready; i++)
                {
                    ulong cookie = from[i].Cookie;
                    ref NetBuffer slot = ref to[i];
                    slot.Grant = grant;
                    slot.Offset = FakeNetworkClient.OffsetOf((uint)cookie);
                    slot.Length = FakeNetworkClient.BufferBytes;
                    slot.Flags = headroom;
                    slot.Cookie = cookie;
                }

                received.Release(ready);
                free.Publish(ready);
                got += ready;
                return got;
            });
        }

        /// <summary>A second to warm up, then the time.</summary>
        private ulong Loop(double seconds, Func<ulong> turn)
        {
            ulong before = Spin(1, turn);
            _driverTicks = 0;
            long start = Stopwatch.GetTimestamp();
            ulong after = Spin(seconds, turn);
            Seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
            return after - before;
        }

        private static ulong Spin(double seconds, Func<ulong> turn)
        {
            long start = Stopwatch.GetTimestamp();
            ulong count = 0;
            while (Stopwatch.GetElapsedTime(start).TotalSeconds < seconds)
            {
                for (int i = 0; i < TurnsPerClock; i++) count = turn();
            }

            return count;
        }
    }
}
