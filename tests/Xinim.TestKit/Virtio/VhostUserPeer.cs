using System.Diagnostics;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Native;

namespace Xinim.TestKit.Virtio;

/// <summary>
/// A vhost-user back end whose words the test chooses: it listens at a path, serves one connection at a time on a thread of its own, writes
/// down what it hears, and holds memory, rings and eventfds for the test to look at.
/// </summary>
public sealed class VhostUserPeer : IDisposable
{
    private const uint NeedReply = 8;
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(30);
    private readonly Socket _listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
    private readonly string _path;
    private readonly Thread _thread;
    private readonly Lock _lock = new();
    private readonly List<string> _heard = [];
    private readonly List<(ulong Start, SharedRegion Memory)> _memory = [];
    private readonly Dictionary<(string Kind, uint Queue), SafeFileHandle> _events = [];
    private Socket? _connection;
    private SafeFileHandle? _requests;
    private int _connections;
    private volatile bool _ended;

    public VhostUserPeer(string path)
    {
        _path = path;
        _listener.Bind(new UnixDomainSocketEndPoint(path));
        _listener.Listen(8);
        _thread = new Thread(Serve) { IsBackground = true, Name = "vhost-user peer" };
        _thread.Start();
    }

    /// <summary>Answer to GET_FEATURES: protocol features, VERSION_1, EVENT_IDX.</summary>
    public ulong Features { get; set; } = 1ul << 30 | 1ul << 32 | 1ul << 29;

    /// <summary>Answer to GET_PROTOCOL_FEATURES: MQ, REPLY_ACK, BACKEND_REQ, CONFIG, RESET_DEVICE, CONFIGURE_MEM_SLOTS, STATUS, and one that is unknown.</summary>
    public ulong ProtocolFeatures { get; set; } = 1ul << 0 | 1ul << 3 | 1ul << 5 | 1ul << 9 | 1ul << 13 | 1ul << 15 | 1ul << 16 | 1ul << 40;

    public ulong Queues { get; set; } = 4;

    public ulong MemorySlots { get; set; } = 32;

    public byte[] Config { get; set; } = [.. Enumerable.Range(1, 60).Select(value => (byte)value)];

    /// <summary>Changes a reply's bytes; an empty array sends nothing, null ends the connection.</summary>
    public Func<uint, byte[], byte[]?>? Tamper { get; set; }

    /// <summary>Descriptors sent along with each reply.</summary>
    public SafeFileHandle[] Attached { get; set; } = [];

    /// <summary>Requests that are refused where an answer is asked for.</summary>
    public HashSet<uint> Refused { get; } = [];

    /// <summary>While set, what is heard is not handled.</summary>
    public ManualResetEventSlim Listening { get; } = new(initialState: true);

    /// <summary>What ended the thread; null where nothing did.</summary>
    public Exception? Failure { get; private set; }

    public int Connections => Volatile.Read(ref _connections);

    public ulong AcceptedFeatures { get; private set; }

    public ulong Status { get; private set; }

    /// <summary>All messages so far as "number:first words of the payload".</summary>
    public IReadOnlyList<string> Heard
    {
        get
        {
            lock (_lock) return [.. _heard];
        }
    }

    /// <summary>Where the regions of the present connection lie.</summary>
    public IReadOnlyList<(ulong Start, long Size)> Regions
    {
        get
        {
            lock (_lock) return [.. _memory.Select(region => (region.Start, region.Memory.Size))];
        }
    }

    /// <summary>Reads guest memory.</summary>
    /// <returns>Null where nothing is mapped.</returns>
    public byte? Read(ulong address)
    {
        lock (_lock)
        {
            foreach ((ulong start, SharedRegion memory) in _memory)
                if (address >= start && address - start < (ulong)memory.Size) return memory.Slice((long)(address - start), 1)[0];
            return null;
        }
    }

    /// <summary>True where the driver has kicked a queue since the last time.</summary>
    public bool TakeKick(uint queue)
    {
        lock (_lock) return _events.TryGetValue(("kick", queue), out SafeFileHandle? kick) && Descriptor.Poll(0, kick) != 0 && Descriptor.Drain(kick) != 0;
    }

    /// <summary>Signals a queue's interrupt.</summary>
    public void Call(uint queue)
    {
        lock (_lock) Descriptor.Signal(_events[("call", queue)]);
    }

    /// <summary>Sends a request of the back end's own.</summary>
    public void Request(uint request, bool wantsAnswer, params byte[] payload)
    {
        lock (_lock) new VhostUserWire(_requests!).Send(VhostUserWire.Message(request, wantsAnswer ? 9u : 1u, payload));
    }

    /// <summary>Sends any bytes on the socket of the back end's own requests.</summary>
    public void RequestRaw(params byte[] bytes)
    {
        lock (_lock) new VhostUserWire(_requests!).Send(bytes);
    }

    /// <summary>The answer to a request.</summary>
    public ulong AwaitAnswer()
    {
        SafeFileHandle requests = _requests!;
        if (Descriptor.Poll(Limit, requests) == 0) throw new TimeoutException("no answer to the back end's request");
        return BitConverter.ToUInt64(new VhostUserWire(requests).Receive()!.Value.Payload);
    }

    /// <summary>Closes the socket of the back end's own requests.</summary>
    public void CloseRequests() => Interlocked.Exchange(ref _requests, null)?.Dispose();

    /// <summary>Sends any bytes to the front end.</summary>
    public void SendRaw(byte[] bytes) => new VhostUserWire(_connection!.SafeHandle).Send(bytes);

    /// <summary>Ends the present connection, as a back end that dies.</summary>
    public void Hang() => _connection?.Shutdown(SocketShutdown.Both);

    /// <summary>Waits until something holds.</summary>
    public static void Until(Func<bool> condition, string what)
    {
        long start = Stopwatch.GetTimestamp();
        while (!condition())
        {
            if (Stopwatch.GetElapsedTime(start) > Limit) throw new TimeoutException($"waited in vain until {what}");
            Thread.Yield();
        }
    }

    public void Dispose()
    {
        _ended = true;
        Listening.Set();
        // A shutdown wakes a thread that waits in accept(2); closing does not.
        _ = Tmds.Linux.LibC.shutdown((int)_listener.Handle, Tmds.Linux.LibC.SHUT_RDWR);
        try
        {
            Hang();
        }
        catch (Exception gone) when (gone is SocketException or ObjectDisposedException)
        {
        }

        _thread.Join();
        _listener.Dispose();
        Listening.Dispose();
        File.Delete(_path);
    }

    private void Serve()
    {
        while (!_ended)
        {
            try
            {
                using Socket connection = _listener.Accept();
                _connection = connection;
                Interlocked.Increment(ref _connections);
                VhostUserWire wire = new(connection.SafeHandle);
                while (wire.Receive() is { } message)
                {
                    Listening.Wait();
                    byte[]? reply = Handle(message.Request, message.Payload, message.Handles);
                    if (reply is null && (message.Flags & NeedReply) != 0 && (ProtocolFeatures & (1 << 3)) != 0)
                        reply = VhostUserWire.Reply(message.Request, BitConverter.GetBytes(Refused.Contains(message.Request) ? 1ul : 0));
                    if (reply is null) continue;
                    if (Tamper is not null) reply = Tamper(message.Request, reply);
                    if (reply is null) break;
                    wire.Send(reply, Attached);
                }
            }
            catch (Exception failure) when (failure is SocketException or ObjectDisposedException)
            {
                // The listener was closed.
            }
            catch (Exception failure)
            {
                Failure = failure;
            }

            Forget();
        }
    }

    private byte[]? Handle(uint request, byte[] payload, SafeFileHandle[] handles)
    {
        lock (_lock)
        {
            _heard.Add($"{request}:{string.Join(',', MemoryMarshal.Cast<byte, uint>(payload.AsSpan(0, Math.Min(payload.Length & ~3, 8))).ToArray())}");
            switch (request)
            {
                case 1: return Number(request, Features);
                case 2: AcceptedFeatures = BitConverter.ToUInt64(payload); return null;
                case 5: SetTable(payload, handles); return null;
                case 11: return VhostUserWire.Reply(request, [.. payload.AsSpan(0, 4), 7, 0, 0, 0]);
                case 12: SetEvent("kick", payload, handles); return null;
                case 13: SetEvent("call", payload, handles); return null;
                case 15: return Number(request, ProtocolFeatures);
                case 17: return Number(request, Queues);
                case 21: _requests = handles.Single(); return null;
                case 24: return GetConfig(payload);
                case 25: payload.AsSpan(12).CopyTo(Config.AsSpan((int)BitConverter.ToUInt32(payload))); return null;
                case 36: return Number(request, MemorySlots);
                case 37: Add(payload.AsSpan(8), handles.Single()); return null;
                case 38: Remove(payload.AsSpan(8)); return null;
                case 39: Status = BitConverter.ToUInt64(payload); return null;
                case 40: return Number(request, Status);
                default: return null;
            }
        }
    }

    private static byte[] Number(uint request, ulong value) => VhostUserWire.Reply(request, BitConverter.GetBytes(value));

    private byte[] GetConfig(byte[] payload)
    {
        int size = (int)BitConverter.ToUInt32(payload, 4);
        return size > Config.Length ? VhostUserWire.Reply(24, []) : VhostUserWire.Reply(24, [.. payload.AsSpan(0, 12), .. Config.AsSpan(0, size)]);
    }

    private void SetTable(byte[] payload, SafeFileHandle[] handles)
    {
        int count = BitConverter.ToInt32(payload);
        if (count != handles.Length || payload.Length != 8 + (32 * count)) throw new InvalidDataException($"{count} regions, {handles.Length} descriptors, {payload.Length} bytes");
        ForgetMemory();
        for (int i = 0; i < count; i++) Add(payload.AsSpan(8 + (32 * i), 32), handles[i]);
    }

    private void Add(ReadOnlySpan<byte> region, SafeFileHandle handle)
    {
        ReadOnlySpan<ulong> words = MemoryMarshal.Cast<byte, ulong>(region);
        if (words.Length != 4 || words[0] != words[2] || words[3] != 0) throw new InvalidDataException("a region is not as it should be");
        _memory.Add((words[0], SharedRegion.Open(handle, (long)words[1], RegionAccess.ReadWrite)));
    }

    private void Remove(ReadOnlySpan<byte> region)
    {
        ulong start = BitConverter.ToUInt64(region), size = BitConverter.ToUInt64(region[8..]);
        int index = _memory.FindIndex(known => known.Start == start && (ulong)known.Memory.Size == size);
        if (index < 0) throw new InvalidDataException($"no region of {size} bytes at 0x{start:x}");
        _memory[index].Memory.Dispose();
        _memory.RemoveAt(index);
    }

    private void SetEvent(string kind, byte[] payload, SafeFileHandle[] handles)
    {
        ulong word = BitConverter.ToUInt64(payload);
        (string, uint) key = (kind, (uint)(word & 0xFF));
        if (_events.Remove(key, out SafeFileHandle? former)) former.Dispose();
        if ((word & 0x100) == 0) _events.Add(key, handles.Single());
    }

    private void Forget()
    {
        lock (_lock)
        {
            ForgetMemory();
            foreach (SafeFileHandle handle in _events.Values) handle.Dispose();
            _events.Clear();
            CloseRequests();
        }
    }

    private void ForgetMemory()
    {
        foreach ((_, SharedRegion memory) in _memory) memory.Dispose();
        _memory.Clear();
    }
}
