using Xinim.Drivers.Console;
using Xinim.Faults.Traffic;
using Xinim.Ipc.Protocols;
using Xinim.Net.Traffic;
using Xinim.TestKit.Fakes;

namespace Xinim.Faults.Model;

/// <summary>
/// The client of a port, what the supervisor does for it, and its partner on the device's other side: checked frames as bytes, both ways. One
/// that loses its port comes back as another client, with streams of its own.
/// </summary>
/// <param name="port">Its number.</param>
/// <param name="run">Distinguishes it from those of other benches.</param>
internal sealed class ConsoleModelClient(uint port, uint run) : IDisposable
{
    /// <summary>Bytes that are under way each way at the most; then nothing more is sent.</summary>
    private const int Window = 8192;

    /// <summary>What a supervisor hears unasked, in a second, before it kills a driver.</summary>
    private const int MostUnasked = 256;

    private static readonly MacAddress s_here = MacAddress.From("\x02HERE\x01"u8), s_there = MacAddress.From("\x02PEER\x01"u8);

    private readonly object _sync = new();
    private readonly byte[] _frame = new byte[FrameFinder.HeadBytes + TestFrame.MaxBytes];

    /// <summary>Bytes that the partner has for the device, which has not written them yet.</summary>
    private readonly Queue<byte> _pending = [];
    private FakeConsoleClient? _rings;
    private Streams? _streams;
    private StreamCounts _oldSent, _oldReceived;
    private uint? _incarnation;
    private ulong _session;
    private int _taken;
    private int _unasked;
    private bool _renewed;

    public StreamCounts Sent => _oldSent + (_streams?.Tx.Counts ?? default);

    public StreamCounts Received => _oldReceived + (_streams?.Rx.Counts ?? default);

    /// <inheritdoc cref="IModelBench.Breach"/>
    public string? Breach { get; set; }

    /// <summary>Bytes that the device may write.</summary>
    public int Pending => _pending.Count;

    /// <summary>Traffic both ways, where there is room.</summary>
    public void Arrive()
    {
        if (_rings is not { } rings || _streams is not { } streams) return;
        if (rings.Unacknowledged < Window) rings.Send(Next(streams.Tx));
        if (_pending.Count >= Window) return;
        foreach (byte one in Next(streams.Rx)) _pending.Enqueue(one);
    }

    /// <summary>The device takes bytes for its next buffer.</summary>
    public byte[] Take(int most)
    {
        byte[] bytes = new byte[Math.Min(most, _pending.Count)];
        for (int i = 0; i < bytes.Length; i++) bytes[i] = _pending.Dequeue();
        return bytes;
    }

    /// <summary>The device has read bytes of the port.</summary>
    public void Check(ReadOnlySpan<byte> bytes)
    {
        if (_streams is { } streams) streams.There.Add(bytes, streams.Tx.Check);
    }

    /// <summary>The driver reports a port, as to its supervisor.</summary>
    public void OnPort(IConsoleDriver driver, in ConsolePortInfo info)
    {
        OnUnasked();
        if (info.Name.ToString().Any(char.IsControl)) Breach ??= $"port {info.Id} has control characters in its name";
        if (info.Id != port) return;
        if (!info.Has(ConsolePortFlags.Present)) Leave();
        else if (_rings is null || (_incarnation is { } former && former != info.Incarnation)) Come(driver, info.Incarnation);
        else if (_incarnation is null) Open(driver, info.Incarnation);
    }

    /// <summary>The driver says something that nobody asked for.</summary>
    public void OnUnasked()
    {
        if (++_unasked > MostUnasked) Breach ??= $"the driver says more than {MostUnasked} things unasked in a second";
    }

    public void OnTimer() => _unasked = 0;

    /// <summary>A pass of driver and client.</summary>
    public void Serve(IConsoleDriver driver)
    {
        if (_rings is not { } rings || _streams is not { } streams || _incarnation is null) return;
        rings.Serve(driver, port);
        Hear(rings, streams);
        if (rings.Repeated != 0 && !_renewed) Breach ??= $"{rings.Repeated} bytes were delivered twice by one driver";
    }

    /// <summary>Its driver is dead: it waits for the next one, with what it has.</summary>
    public void OnDeath()
    {
        (_incarnation, _unasked, _renewed) = (null, 0, true);
        _rings?.Renew();
    }

    /// <summary>It has lost its port, or gives it up.</summary>
    public void Leave()
    {
        if (_streams is not { } streams) return;
        (_oldSent, _oldReceived) = (Sent, Received);
        _rings?.Dispose();
        (_streams, _rings, _incarnation) = (null, null, null);
        _pending.Clear();
    }

    /// <summary>Another client takes the port.</summary>
    public void Replace(IConsoleDriver driver)
    {
        if (_incarnation is not { } incarnation) return;
        driver.Close(port);
        Come(driver, incarnation);
    }

    public void Dispose() => _rings?.Dispose();

    private void Come(IConsoleDriver driver, uint incarnation)
    {
        Leave();
        _session++;
        // Its own number in the low bits: what is still under way of a former one is known by it.
        uint number = (run << 9) | ((uint)(_session & 0xff) << 1);
        _streams = new Streams(new FrameStream(_sync, s_here, s_there, number), new FrameStream(_sync, s_there, s_here, number | 1), new FrameFinder(), new FrameFinder());
        _rings = new FakeConsoleClient { BearsLoss = true };
        (_taken, _renewed) = (0, false);
        Open(driver, incarnation);
    }

    private void Open(IConsoleDriver driver, uint incarnation)
    {
        driver.Open(port, incarnation, _session);
        _incarnation = incarnation;
    }

    private void Hear(FakeConsoleClient rings, Streams streams)
    {
        streams.Here.Add(rings.ReceivedFrom(_taken), streams.Rx.Check);
        _taken = rings.Received.Count;
    }

    private ReadOnlySpan<byte> Next(FrameStream stream)
    {
        int length = stream.WriteNext(_frame.AsSpan(FrameFinder.HeadBytes), 0);
        FrameFinder.WriteHead(_frame, length);
        return _frame.AsSpan(0, FrameFinder.HeadBytes + length);
    }

    /// <param name="Here">Frames in what the client has got.</param>
    /// <param name="There">In what its partner has.</param>
    private sealed record Streams(FrameStream Tx, FrameStream Rx, FrameFinder Here, FrameFinder There);
}
