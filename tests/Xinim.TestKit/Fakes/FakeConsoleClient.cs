using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using Xinim.Drivers.Console;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Native;
using Xinim.Ipc.Protocols;

namespace Xinim.TestKit.Fakes;

/// <summary>A client of a console port as a driver sees one: its rings, what it sent and was not taken, what it received, by position.</summary>
public sealed class FakeConsoleClient : IDisposable
{
    private readonly SafeFileHandle _bell = Descriptor.CreateEvent();
    private readonly List<byte> _sent = [];
    private readonly List<byte> _received = [];
    private readonly Queue<uint> _with = [];
    private SharedRegion _memory;
    private ConsoleRings.ClientEnd _rings;
    private ConsoleRings.DriverEnd _driver;
    private uint _generation;
    private int _acknowledged;
    private int _posted;

    public FakeConsoleClient()
    {
        (_memory, _rings, _driver) = Make();
    }

    /// <summary>It takes what has come; otherwise its ring fills.</summary>
    public bool Reads { get; set; } = true;

    /// <summary>Bytes that are missing are counted, as <c>ConsolePort</c> does; else they are an exception.</summary>
    public bool BearsLoss { get; init; }

    /// <summary>All that has come, once.</summary>
    public IReadOnlyList<byte> Received => _received;

    /// <summary>Bytes that are missing.</summary>
    public ulong Lost { get; private set; }

    /// <summary>Bytes that came a second time.</summary>
    public int Repeated { get; private set; }

    /// <summary>What has come since a place in <see cref="Received"/>.</summary>
    public ReadOnlySpan<byte> ReceivedFrom(int place) => CollectionsMarshal.AsSpan(_received)[place..];

    public int Unacknowledged => _sent.Count - _acknowledged;

    /// <summary>The client's end, for nonsense.</summary>
    public ConsoleRings.ClientEnd Rings => _rings;

    public void Send(ReadOnlySpan<byte> bytes) => _sent.AddRange(bytes);

    /// <summary>Fresh rings: what the old ones still held is taken, what was not acknowledged is sent again.</summary>
    public void Renew()
    {
        Collect();
        Take();
        _memory.Dispose();
        (_memory, _rings, _driver) = Make();
        _with.Clear();
        _posted = _acknowledged;
    }

    /// <summary>A pass of driver and client.</summary>
    public void Serve(IConsoleDriver driver, uint port)
    {
        Post();
        _ = driver.Transmit(port, _driver.Submit);
        _ = driver.Receive(port, _driver.Received);
        Collect();
        if (Reads) Take();
    }

    public void Dispose()
    {
        _memory.Dispose();
        _bell.Dispose();
    }

    private void Post()
    {
        uint room = _rings.Submit.Reserve(_rings.Submit.Capacity), put = 0;
        for (; put < room && _posted < _sent.Count; put++)
        {
            int length = Math.Min(ConsoleChunk.Room, _sent.Count - _posted);
            ref ConsoleChunk chunk = ref _rings.Submit[put];
            chunk.Position = (ulong)_posted;
            chunk.Length = (uint)length;
            for (int i = 0; i < length; i++) chunk.Data[i] = _sent[_posted + i];
            _posted += length;
            _with.Enqueue((uint)length);
        }

        _rings.Submit.Publish(put);
    }

    private void Collect()
    {
        uint with = _rings.Submit.Capacity - _rings.Submit.Reserve(_rings.Submit.Capacity);
        while (_with.Count > with) _acknowledged += (int)_with.Dequeue();
    }

    private void Take()
    {
        for (; _rings.Received.Peek(1) != 0; _rings.Received.Release(1))
        {
            ConsoleChunk chunk = _rings.Received.Read(0);
            if (chunk.Length is 0 or > ConsoleChunk.Room) throw new InvalidOperationException($"a chunk of {chunk.Length} bytes");
            ulong next = (ulong)_received.Count + Lost;
            if (chunk.Position > next)
            {
                if (!BearsLoss) throw new InvalidOperationException($"bytes {next} to {chunk.Position} are lost");
                Lost += chunk.Position - next;
                next = chunk.Position;
            }

            ulong known = next - chunk.Position;
            Repeated += (int)Math.Min(known, chunk.Length);
            for (ulong i = known; i < chunk.Length; i++) _received.Add(chunk.Data[(int)i]);
        }
    }

    private (SharedRegion Memory, ConsoleRings.ClientEnd Client, ConsoleRings.DriverEnd Driver) Make()
    {
        RingShape shape = new(ConsoleRings.Capacity, ConsoleRings.Capacity, ++_generation);
        SharedRegion memory = ConsoleRings.Create(shape);
        return (memory, new ConsoleRings.ClientEnd(memory, shape, _bell, _bell), new ConsoleRings.DriverEnd(memory, shape, _bell, _bell));
    }
}
