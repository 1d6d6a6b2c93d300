using System.Diagnostics;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using Xinim.Ipc.Channels;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Protocols;
using Xinim.Supervisor.Devices;
using Xinim.TestPeer;

namespace Xinim.Supervisor.Tests.Harness;

/// <summary>
/// One life of a driver whose process is real and whose words are the test's. Unless told otherwise it is a good driver between the
/// words: it answers the supervisor's questions for counters.
/// </summary>
internal sealed class ScriptedDriver : IDisposable
{
    private readonly Channel _process;
    private readonly Bench _bench;
    private readonly Channel _supervisor;
    private readonly Queue<ChannelMessage> _waiting = [];
    private VitalSigns? _vital;
    private bool _closed;

    public ScriptedDriver(Bench bench, Channel process, ChannelMessage lend)
    {
        _bench = bench;
        _process = process;
        Pid = lend.Get<int>();
        _supervisor = new Channel(lend.TakeHandle(0));
    }

    public static NetworkDeviceInfo DefaultInfo => new()
    {
        Mac = MacAddress.From([0x52, 0x54, 0, 0, 0, 1]),
        MaxFrame = 16110,
        RxBufferBytes = 2048,
        TxDescriptors = 256,
        RxDescriptors = 256,
        Link = new LinkState(1, 1000, 1),
    };

    public int Pid { get; }

    public uint Generation { get; private set; }

    /// <summary>Request number of Start, which Ready answers.</summary>
    public uint StartRequest { get; private set; }

    public StartMessage StartedWith { get; private set; }

    /// <summary>Answer to GetStatistics; null: does not answer.</summary>
    public NetworkStatistics? Statistics { get; set; } = default(NetworkStatistics);

    /// <summary>The same for another class than NICs, as bytes.</summary>
    public byte[]? Counters { get; set; }

    /// <summary>Questions for counters are the test's to answer.</summary>
    public bool KeepQuestions { get; set; }

    /// <summary>True where the process has ended, reaped or not.</summary>
    public bool HasEnded => !Exists || File.ReadAllText($"/proc/{Pid}/stat").Contains(") Z ", StringComparison.Ordinal);

    /// <summary>True until the kernel has forgotten the process.</summary>
    public bool Exists => Directory.Exists($"/proc/{Pid}");

    /// <summary>Waits for Start.</summary>
    public ScriptedDriver AwaitStart()
    {
        using ChannelMessage start = Expect(ControlMessage.Start);
        Generation = start.Header.Generation;
        StartRequest = start.Header.Request;
        StartedWith = start.Get<StartMessage>();
        if (_bench.WatchesHearts) _vital = new VitalSigns(SharedRegion.Open(start.TakeHandle(1), VitalSigns.Bytes, RegionAccess.ReadWrite));
        return this;
    }

    /// <summary>Introduces itself, as every process of a driver does first.</summary>
    public void SayHello(string drivers = "scripted") => SayText(ControlMessage.Hello, drivers);

    public void Beat() => _vital!.Beat();

    /// <summary>Says Ready, and waits until the supervisor has heard it.</summary>
    public ScriptedDriver BeReady(NetworkDeviceInfo? info = null)
    {
        Say(ControlMessage.Ready, info ?? DefaultInfo, StartRequest);
        _bench.Until(() => _bench.Device.State == DeviceState.Ready, "the device is ready");
        return this;
    }

    /// <summary>The next question, which must be this one.</summary>
    public ChannelMessage Expect(ControlMessage type)
    {
        _bench.Until(() => Hear(), $"the driver is asked {type}");
        ChannelMessage message = _waiting.Dequeue();
        Assert.Equal(type, (ControlMessage)message.Header.Type);
        return message;
    }

    /// <summary>Expects a question and answers Done.</summary>
    public ChannelMessage Obey(ControlMessage type)
    {
        ChannelMessage message = Expect(type);
        Say(ControlMessage.Done, 0u, message.Header.Request);
        return message;
    }

    /// <summary>Questions that wait, without those for counters.</summary>
    public bool IsAsked => Hear();

    public void Say<T>(ControlMessage type, in T payload, uint request = 0, uint? generation = null, uint unit = 0)
        where T : unmanaged
        => _supervisor.Send(new MessageHeader((uint)type, generation ?? Generation, request, unit), payload);

    public void SayText(ControlMessage type, string text, uint request = 0, uint unit = 0)
        => _supervisor.SendText(new MessageHeader((uint)type, Generation, request, unit), text);

    public void SayBytes(uint type, ReadOnlySpan<byte> payload, uint request = 0, uint? generation = null, params ReadOnlySpan<SafeFileHandle> handles)
        => _supervisor.SendBytes(new MessageHeader(type, generation ?? Generation, request), payload, handles);

    /// <summary>Dies by a signal.</summary>
    public void Kill()
    {
        using Process process = Process.GetProcessById(Pid);
        process.Kill();
    }

    /// <param name="releaseChannel">The test lets go of the channel too: the supervisor sees it closed.</param>
    public void Exit(int status, bool releaseChannel = false)
    {
        _process.Send(new MessageHeader((uint)PeerMessage.Exit, 0, 0), status);
        if (!releaseChannel) return;
        _closed = true;
        _supervisor.Dispose();
    }

    /// <summary>Finishes and ends, as asked.</summary>
    public void Leave()
    {
        Obey(ControlMessage.Quiesce).Dispose();
        Obey(ControlMessage.Stop).Dispose();
        Exit(0);
    }

    /// <summary>Stands still, as after SIGSTOP.</summary>
    public void Freeze() => Assert.Equal(0, Tmds.Linux.LibC.kill(Pid, Tmds.Linux.LibC.SIGSTOP));

    /// <summary>Closes its end of the supervisor's channel, everywhere, and lives on.</summary>
    public void CloseChannel()
    {
        _process.Send(new MessageHeader((uint)PeerMessage.Close, 0, 0));
        _closed = true;
        _supervisor.Dispose();
    }

    /// <summary>Reads what came; answers what a good driver answers by itself.</summary>
    public bool Hear()
    {
        while (!_closed && _supervisor.TryReceive(out ChannelMessage? message) && message is not null)
        {
            if (KeepQuestions || message.Header.Type != (uint)ControlMessage.GetStatistics)
            {
                _waiting.Enqueue(message);
                continue;
            }

            if (Counters is { } counters) TrySay(counters, message.Header.Request);
            else if (Statistics is { } statistics) TrySay(MemoryMarshal.AsBytes(new ReadOnlySpan<NetworkStatistics>(in statistics)), message.Header.Request);
            message.Dispose();
        }

        return _waiting.Count > 0;
    }

    public void Dispose()
    {
        _closed = true;
        foreach (ChannelMessage message in _waiting) message.Dispose();
        _supervisor.Dispose();
        _process.Dispose();
    }

    private void TrySay(ReadOnlySpan<byte> statistics, uint request)
    {
        try
        {
            SayBytes((uint)ControlMessage.Statistics, statistics, request);
        }
        catch (ChannelException)
        {
            // The supervisor has closed its end: this driver has been given up.
            _closed = true;
        }
    }
}
