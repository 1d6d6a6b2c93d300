using Xinim.Drivers.Console.Virtio;
using Xinim.Drivers.Virtio;
using Xinim.Drivers.Virtio.Transports;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Protocols;
using Xinim.TestKit.Fakes;
using Xinim.TestKit.Virtio;
using Xinim.Vfio.Dma;
using Xunit;

namespace Xinim.Drivers.Tests.Console.Virtio;

/// <summary>A console device whose every word is the test's, written from [V §5.3], and a driver on it.</summary>
internal sealed class ConsoleBench : IDisposable
{
    public const uint MaxPorts = 4;
    private const ushort ControlRx = 2, ControlTx = 3;
    private static readonly byte[] Config = [80, 0, 25, 0, (byte)MaxPorts, 0, 0, 0, 0, 0, 0, 0];
    private readonly DmaRegion _work;
    private readonly Dictionary<ushort, DeviceChain> _ahead = [];

    public ConsoleBench(bool multiport = true, VirtioConsoleOptions? options = null, VirtioFeatures more = 0)
    {
        Options = options ?? new VirtioConsoleOptions();
        VirtioFeatures features = VirtioFeatures.Version1 | more | (multiport ? VirtioConsoleFeatures.Multiport : 0);
        Model = new VirtioModel(new VirtioModelOptions(VirtioDeviceType.Console) { Features = features, Config = Config, Queues = multiport ? (ushort)((2 * MaxPorts) + 2) : (ushort)2, Vectors = 2 });
        _work = Model.Dma.Map("work", 2 << 20, RegionAccess.ReadWrite);
        Driver = Make();
    }

    public VirtioModel Model { get; }

    public VirtioConsoleOptions Options { get; }

    public VirtioConsoleDriver Driver { get; private set; }

    public List<string> Log { get; } = [];

    /// <summary>As last reported.</summary>
    public Dictionary<uint, ConsolePortInfo> Ports { get; } = [];

    public Span<byte> Work => _work.Memory!.Slice(0, (int)_work.Size);

    /// <summary>A driver that was killed: nothing of it runs any more, and the next one is started.</summary>
    public void Reincarnate()
    {
        Ports.Clear();
        _ahead.Clear();
        Driver = Make();
        _ = Driver.Start();
    }

    /// <summary>Started, with these ports there, open on the other side.</summary>
    public static ConsoleBench Started(params uint[] ports)
    {
        ConsoleBench bench = new();
        _ = bench.Driver.Start();
        bench.Add(ports);
        return bench;
    }

    public void Add(params uint[] ports)
    {
        foreach (uint port in ports)
        {
            Say(port, ConsoleEvent.DeviceAdd);
            Say(port, ConsoleEvent.PortOpen, 1);
        }

        _ = Told();
    }

    /// <summary>The device says something of a port; the driver hears it.</summary>
    public void Say(uint port, ConsoleEvent what, ushort value = 0, params ReadOnlySpan<byte> rest)
    {
        byte[] message = new byte[VirtioConsoleMessage.Bytes + rest.Length];
        new VirtioConsoleMessage(port, what, value).Write(message);
        rest.CopyTo(message.AsSpan(VirtioConsoleMessage.Bytes));
        SayBytes(message);
    }

    public void SayBytes(ReadOnlySpan<byte> message)
    {
        Put(ControlRx, message);
        Poll();
    }

    /// <summary>What the driver has told the device since the last time.</summary>
    public List<(uint Port, ConsoleEvent Event, ushort Value)> Told()
    {
        List<(uint, ConsoleEvent, ushort)> told = [];
        DeviceQueue queue = Model.Queue(ControlTx)!;
        while (queue.Pop() is { } chain)
        {
            byte[] bytes = chain.Read(Model.Dma);
            Assert.Equal(VirtioConsoleMessage.Bytes, bytes.Length);
            VirtioConsoleMessage message = VirtioConsoleMessage.Read(bytes);
            told.Add((message.Port, message.Event, message.Value));
            queue.Use(chain, 0);
        }

        _ = Model.Flush(ControlTx);
        return told;
    }

    /// <summary>The driver has given the device a buffer that it has not used.</summary>
    public bool HasBuffer(ushort number)
    {
        if (_ahead.ContainsKey(number)) return true;
        if (Model.Queue(number)!.Pop() is not { } chain) return false;
        _ahead.Add(number, chain);
        return true;
    }

    /// <summary>The device writes to a queue's next buffer.</summary>
    public void Put(ushort number, ReadOnlySpan<byte> bytes)
    {
        DeviceQueue queue = Model.Queue(number)!;
        if (!HasBuffer(number)) throw new InvalidOperationException($"queue {number} has no buffer");
        _ = _ahead.Remove(number, out DeviceChain? chain);
        queue.Use(chain!, chain!.Write(Model.Dma, bytes));
        _ = Model.Flush(number);
    }

    /// <summary>The device reads a queue's next buffer; null where there is none.</summary>
    /// <param name="use">And says that it has.</param>
    public byte[]? Get(ushort number, bool use = true)
    {
        DeviceQueue queue = Model.Queue(number)!;
        if (queue.Pop() is not { } chain) return null;
        byte[] bytes = chain.Read(Model.Dma);
        if (use) queue.Use(chain, 0);
        _ = Model.Flush(number);
        return bytes;
    }

    public void Poll()
    {
        while (Driver.PollControl())
        {
        }

        while (Driver.TryTakeChange(out ConsolePortInfo port)) Ports[port.Id] = port;
    }

    public FakeConsoleClient Open(uint port, ulong session = 1)
    {
        Reopen(port, session);
        return new FakeConsoleClient();
    }

    /// <summary>For the client that there was.</summary>
    public void Reopen(uint port, ulong session = 1) => Driver.Open(port, Ports[port].Incarnation, session);

    /// <summary>The device obeyed, and so did the driver.</summary>
    public void Dispose()
    {
        Assert.Empty(Model.Violations);
        Assert.Empty(Model.Dma.Faults);
        Model.Dispose();
    }

    private VirtioConsoleDriver Make() => new(Model, new DmaArena(_work), Log.Add, Options);
}
