using Microsoft.Win32.SafeHandles;
using Xinim.Ipc.Channels;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Protocols;

namespace Xinim.Benchmarks.Isolation;

/// <summary>The driver's process: serves rings without ever sleeping while it has some, and sleeps between turns.</summary>
internal sealed class HopPeer(Channel channel) : IDisposable
{
    /// <summary>Empty polls between two looks at the channel: some tens of µs, more than any pause within a turn.</summary>
    private const int PollsPerLook = 4096;

    private SharedRegion? _rings;
    private SharedRegion? _pool;
    private SafeFileHandle? _own;
    private SafeFileHandle? _client;
    private HopDriver? _driver;
    private long _allocatedBefore;

    /// <summary>Runs until the benchmark closes the channel, which is descriptor 3.</summary>
    public static int Run()
    {
        using Channel channel = new(new SafeFileHandle(3, ownsHandle: true));
        using HopPeer peer = new(channel);
        while (peer.ServeOne())
        {
        }

        return 0;
    }

    public void Dispose()
    {
        _driver = null;
        _rings?.Dispose();
        _pool?.Dispose();
        _own?.Dispose();
        _client?.Dispose();
    }

    /// <summary>Polls until a message comes, and answers it.</summary>
    /// <returns>False when the channel was closed.</returns>
    private bool ServeOne()
    {
        while (true)
        {
            if (_driver is { } driver) PollUntilIdle(driver);
            else Ipc.Native.Descriptor.Poll(Timeout.Infinite, channel.Handle);
            long allocated = GC.GetAllocatedBytesForCurrentThread() - _allocatedBefore;
            if (!channel.TryReceive(out ChannelMessage? message)) return false;
            if (message is null) continue;
            using (message) Answer(message, allocated);
            return true;
        }
    }

    private static void PollUntilIdle(HopDriver driver)
    {
        for (int idle = 0; idle < PollsPerLook; idle++)
        {
            if (driver.Poll()) idle = 0;
        }
    }

    private void Answer(ChannelMessage message, long allocated)
    {
        if (message.Header.Type == (uint)HopMessage.Attach) Attach(message);
        HopTally tally = _driver?.Tally ?? default;
        if (message.Header.Type == (uint)HopMessage.Detach) Dispose();
        tally.Allocated = allocated;
        tally.Switches = Processors.Switches();
        tally.Process = Environment.ProcessId;
        channel.Send(new MessageHeader((uint)HopMessage.Tally, 0, message.Header.Request), tally);
        _allocatedBefore = GC.GetAllocatedBytesForCurrentThread();
    }

    private void Attach(ChannelMessage message)
    {
        HopRequest request = message.Get<HopRequest>();
        Processors.Pin(request.Processor);
        _rings = SharedRegion.Open(message.TakeHandle(0), request.RingsBytes, RegionAccess.ReadWrite);
        _pool = SharedRegion.Open(message.TakeHandle(1), request.PoolBytes, RegionAccess.ReadWrite);
        (_own, _client) = (message.TakeHandle(2), message.TakeHandle(3));
        _driver = new HopDriver(new NetworkRings.DriverEnd(_rings, request.Shape, _own, _client), _pool, request);
    }
}
