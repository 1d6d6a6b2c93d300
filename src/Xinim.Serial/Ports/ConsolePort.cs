using System.Text;
using Microsoft.Win32.SafeHandles;
using Xinim.Ipc.Channels;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Native;
using Xinim.Ipc.Protocols;
using Xinim.Ipc.Rings;

namespace Xinim.Serial.Ports;

/// <summary>
/// A client's hold on a port of a console device: bytes both ways. What is written is kept until the device has taken it, and given to the next
/// driver when one dies; every byte has its position in the stream, so that nothing comes twice and nothing is missing. One thread at a time.
/// </summary>
/// <example><code>
/// using ConsolePort port = ConsolePort.Open("con0", "org.example.0");
/// port.Write("hello\n"u8);
/// while (port.Read(buffer) is 0) port.Wait(TimeSpan.FromSeconds(1));
/// </code></example>
public sealed class ConsolePort : IDisposable
{
    private const uint WindowBytes = 16384;
    private static readonly TimeSpan AnswerLimit = TimeSpan.FromSeconds(15);

    private readonly DaemonConnection _daemon;
    private readonly SafeFileHandle _ownBell;
    private readonly SafeFileHandle _driverBell;
    private readonly ByteWindow _window = new(WindowBytes);

    /// <summary>Bytes of each chunk that the driver has.</summary>
    private readonly Queue<uint> _submitted = [];

    /// <summary>What drivers that are over have delivered.</summary>
    private readonly Queue<byte> _late = [];
    private SharedRegion _region;
    private ConsoleRings.ClientEnd? _rings;
    private ConsolePortInfo _info;
    private ulong _posted;
    private ulong _received;

    private ConsolePort(DaemonConnection daemon, ChannelMessage opened)
    {
        _daemon = daemon;
        OpenedConsoleMessage what = opened.Get<OpenedConsoleMessage>();
        _region = SharedRegion.Open(opened.TakeHandle(0), what.RingsBytes, RegionAccess.ReadWrite);
        _ownBell = opened.TakeHandle(1);
        _driverBell = opened.TakeHandle(2);
        Adopt(what);
    }

    /// <summary>The port, as last reported.</summary>
    public ConsolePortInfo Info => _info;

    /// <summary>The driver's life that serves this port.</summary>
    public uint Generation { get; private set; }

    /// <summary>Fresh rings that this port has had: one for each driver that it has survived.</summary>
    public uint Recoveries { get; private set; }

    /// <summary>Bytes that were received and lost, because a driver left no trace of them.</summary>
    public ulong LostBytes { get; private set; }

    /// <summary>True where the device has taken every byte that was written.</summary>
    public bool TxIdle => _window.Start == _window.End;

    /// <summary>Bytes that <see cref="Write"/> would take now.</summary>
    public int WriteRoom => _window.Room;

    /// <summary>Opens a port.</summary>
    /// <param name="device">Name such as <c>con0</c>, or PCI address.</param>
    /// <param name="port">Its name or number; empty for the console, or the only port that there is.</param>
    /// <param name="socket">The daemon's socket; by default where the daemon listens by default.</param>
    /// <exception cref="ConsolePortException">No such device or port, it is in use, or it has no driver.</exception>
    /// <exception cref="Ipc.LinuxException">No daemon, or this user may not connect.</exception>
    public static ConsolePort Open(string device, string port = "", string? socket = null)
    {
        if (Encoding.UTF8.GetByteCount(device) > FixedText.Bytes) throw new ConsolePortException($"there is no device '{device}'");
        if (Encoding.UTF8.GetByteCount(port) > FixedText.Bytes) throw new ConsolePortException($"{device} has no port '{port}'");
        DaemonConnection daemon = DaemonConnection.Connect(socket, AnswerLimit, reason => new ConsolePortException(reason));
        try
        {
            using ChannelMessage opened = daemon.Open(ClientMessage.OpenConsole, new OpenConsoleMessage { Device = FixedText.From(device), Port = FixedText.From(port) });
            return new ConsolePort(daemon, opened);
        }
        catch
        {
            daemon.Dispose();
            throw;
        }
    }

    /// <summary>Sends bytes, as many as there is room for.</summary>
    /// <returns>How many; 0 while nothing is taken on the other side.</returns>
    public int Write(ReadOnlySpan<byte> bytes)
    {
        int count = _window.Add(bytes);
        OnRings(Exchange);
        return count;
    }

    /// <summary>Takes received bytes.</summary>
    /// <returns>How many; 0 where none has come.</returns>
    public int Read(Span<byte> into)
    {
        int count = 0;
        while (count < into.Length && _late.TryDequeue(out byte late)) into[count++] = late;
        if (count != 0) return count;
        if (_rings is { } rings)
        {
            try
            {
                count = Take(rings, into);
                if (count != 0) rings.Driver.Ring();
            }
            catch (RingException nonsense)
            {
                Distrust(nonsense.Message);
            }
        }

        if (count == 0) Recover();
        return count;
    }

    /// <summary>Sleeps until bytes have come, the device has taken some, the port has changed, or the time is over.</summary>
    /// <param name="also">Woken by these as well.</param>
    /// <returns>A bit for each of <paramref name="also"/> that is readable.</returns>
    public uint Wait(TimeSpan limit, params ReadOnlySpan<SafeFileHandle> also)
    {
        ulong before = _window.Start;
        OnRings(Exchange);
        Doorbell? own = _rings?.Own;
        own?.PrepareToSleep();
        bool ready = _late.Count != 0 || _window.Start != before || HasNews();
        uint mask = Descriptor.Poll(ready ? TimeSpan.Zero : limit, [_ownBell, _daemon.Handle, .. also]);
        own?.Awake();
        Descriptor.Drain(_ownBell);
        OnRings(Exchange);
        Recover();
        return mask >> 2;
    }

    public void Dispose()
    {
        _rings = null;
        _daemon.Dispose();
        _region.Dispose();
        _ownBell.Dispose();
        _driverBell.Dispose();
    }

    private void OnRings(Action<ConsoleRings.ClientEnd> action)
    {
        if (_rings is not { } rings) return;
        try
        {
            action(rings);
        }
        catch (RingException nonsense)
        {
            Distrust(nonsense.Message);
        }
    }

    private bool HasNews()
    {
        bool news = false;
        OnRings(rings => news = rings.IsClosed || rings.Received.Peek(1) != 0 || rings.Submit.Capacity - rings.Submit.Reserve(rings.Submit.Capacity) < _submitted.Count);
        return news || _rings is null;
    }

    /// <summary>Takes acknowledgements and gives the driver what it has room for.</summary>
    private void Exchange(ConsoleRings.ClientEnd rings)
    {
        Acknowledge(rings);
        uint room = rings.Submit.Reserve(rings.Submit.Capacity);
        uint put = 0;
        for (; put < room && _posted != _window.End; put++)
        {
            ref ConsoleChunk chunk = ref rings.Submit[put];
            chunk.Position = _posted;
            uint length = (uint)_window.Copy(_posted, chunk.Data);
            chunk.Length = length;
            _posted += length;
            _submitted.Enqueue(length);
        }

        if (put == 0) return;
        rings.Submit.Publish(put);
        rings.Driver.Ring();
    }

    private void Acknowledge(ConsoleRings.ClientEnd rings)
    {
        uint with = rings.Submit.Capacity - rings.Submit.Reserve(rings.Submit.Capacity);
        while (_submitted.Count > with) _window.Forget(_window.Start + _submitted.Dequeue());
    }

    private int Take(ConsoleRings.ClientEnd rings, Span<byte> into)
    {
        int count = 0;
        while (count < into.Length && rings.Received.Peek(1) != 0)
        {
            ConsoleChunk chunk = rings.Received.Read(0);
            if (chunk.Length is 0 or > ConsoleChunk.Room) throw new RingException($"a chunk of {chunk.Length} bytes; 1 to {ConsoleChunk.Room} are allowed");
            if (chunk.Position > _received)
            {
                LostBytes += chunk.Position - _received;
                _received = chunk.Position;
            }

            // What a dead driver had delivered before comes again.
            ulong known = _received - chunk.Position;
            if (known < chunk.Length)
            {
                int fresh = Math.Min((int)(chunk.Length - known), into.Length - count);
                ((ReadOnlySpan<byte>)chunk.Data).Slice((int)known, fresh).CopyTo(into[count..]);
                count += fresh;
                _received += (ulong)fresh;
                if (known + (ulong)fresh < chunk.Length) break;
            }

            rings.Received.Release(1);
        }

        return count;
    }

    /// <summary>The driver lives and returns nonsense: nothing of its rings is looked at any more, and its supervisor is told.</summary>
    private void Distrust(string reason)
    {
        _rings = null;
        _daemon.Tell(ClientMessage.ReportDriver, Generation, reason);
    }

    /// <summary>Hears what the daemon says: of the port, and of the next driver.</summary>
    private void Recover()
    {
        while (_daemon.TryReceive() is { } message)
        {
            using (message) Handle(message);
        }
    }

    private void Handle(ChannelMessage message)
    {
        switch ((ClientMessage)message.Header.Type)
        {
            case ClientMessage.PortChanged: _info = message.Get<ConsolePortInfo>(); break;
            case ClientMessage.Reopened: Reopen(message); break;
            case ClientMessage.Closed: throw new ConsolePortException(message.Text);
            default: throw new ConsolePortException($"the daemon sent message {message.Header.Type}, which is unknown here");
        }
    }

    private void Reopen(ChannelMessage message)
    {
        SaveDelivered();
        OpenedConsoleMessage what = message.Get<OpenedConsoleMessage>();
        _rings = null;
        _region.Dispose();
        _region = SharedRegion.Open(message.TakeHandle(0), what.RingsBytes, RegionAccess.ReadWrite);
        Recoveries++;
        Adopt(what);
        OnRings(Exchange);
    }

    /// <summary>What a driver delivered before its end is good; one that died of corrupting memory may have left nonsense, which ends the taking.</summary>
    private void SaveDelivered()
    {
        if (_rings is not { } rings) return;
        byte[] bytes = new byte[4096];
        try
        {
            Acknowledge(rings);
            while (Take(rings, bytes) is > 0 and int count)
            {
                foreach (byte one in bytes.AsSpan(0, count)) _late.Enqueue(one);
            }
        }
        catch (RingException)
        {
            // What was not taken comes again.
        }
    }

    private void Adopt(in OpenedConsoleMessage what)
    {
        _rings = new ConsoleRings.ClientEnd(_region, what.Rings, _ownBell, _driverBell);
        _info = what.Port;
        Generation = what.Rings.Generation;
        _submitted.Clear();
        _posted = _window.Start;
    }
}
