using Microsoft.Win32.SafeHandles;
using Xinim.Ipc.Native;
using Xinim.Vfio.Sockets;
using static Xinim.Vfio.Remote.RemoteProtocol;

namespace Xinim.Vfio.Remote;

/// <summary>
/// One end of the socket to a device model in another process: requests and replies of QEMU's multi-process protocol, one at a time.
/// The supervisor and the driver each have one over the same socket; requests that are answered are the driver's while it runs and the
/// supervisor's while none runs, those without answer (memory, interrupts) the supervisor may send at any time.
/// Nothing that a reply says is believed: another command, another size or silence is a <see cref="DeviceFaultException"/>.
/// </summary>
public sealed unsafe class RemoteLink : IDisposable
{
    /// <summary>How long a reply may take where nothing else is said.</summary>
    public static readonly TimeSpan DefaultTimeout = TimeSpan.FromSeconds(2);

    /// <summary>More stale bytes than any driver leaves: the socket is not at rest.</summary>
    private const int MaxStaleBytes = 64 << 10;

    private readonly StreamSocket _socket;
    private readonly TimeSpan _timeout;
    private readonly Lock _lock = new();
    private bool _outOfStep;

    /// <param name="socket">A connected SOCK_STREAM UNIX socket; owned by the link from now on.</param>
    /// <param name="name">For messages, such as <c>remote:e1000</c>.</param>
    /// <param name="timeout">For one request; <see cref="DefaultTimeout"/> where not given.</param>
    public RemoteLink(SafeFileHandle socket, string name, TimeSpan? timeout = null)
    {
        _socket = new StreamSocket(socket);
        Name = name;
        _timeout = timeout ?? DefaultTimeout;
    }

    /// <summary>For messages.</summary>
    public string Name { get; }

    /// <summary>The socket. Owned by this object.</summary>
    public SafeFileHandle Handle => _socket.Handle;

    /// <summary>Makes a connected pair: one end for a link, the other for the device model to inherit. Both are closed by exec.</summary>
    public static (SafeFileHandle Link, SafeFileHandle Model) CreateSocketPair() => StreamSocket.CreatePair("a device model");

    /// <summary>Reads 1, 2 or 4 bytes of configuration space. QEMU ends when fewer than 4 bytes follow the offset: see <see cref="RemoteConfig"/>.</summary>
    public uint ReadConfig(int offset, int length)
    {
        ConfigAccess access = new() { Offset = (uint)offset, Length = length };
        return (uint)Ask(RemoteCommand.PciConfigRead, (ulong)offset, &access, sizeof(ConfigAccess), _timeout);
    }

    /// <summary>Writes 1, 2 or 4 bytes of configuration space, with the same condition.</summary>
    public void WriteConfig(int offset, int length, uint value, TimeSpan? timeout = null)
    {
        ConfigAccess access = new() { Offset = (uint)offset, Value = value, Length = length };
        Ask(RemoteCommand.PciConfigWrite, (ulong)offset, &access, sizeof(ConfigAccess), timeout ?? _timeout);
    }

    /// <summary>Reads a register. An address at which no BAR decodes makes QEMU end.</summary>
    public ulong ReadBar(ulong address, int size, bool isMemory)
    {
        BarAccess access = new() { Address = address, Size = (uint)size, IsMemory = isMemory ? (byte)1 : (byte)0 };
        return Ask(RemoteCommand.BarRead, address, &access, sizeof(BarAccess), _timeout);
    }

    /// <summary>Writes a register; returns when the model has it.</summary>
    public void WriteBar(ulong address, int size, ulong value, bool isMemory)
    {
        BarAccess access = new() { Address = address, Value = value, Size = (uint)size, IsMemory = isMemory ? (byte)1 : (byte)0 };
        Ask(RemoteCommand.BarWrite, address, &access, sizeof(BarAccess), _timeout);
    }

    /// <summary>Resets the device model; its configuration space keeps its contents (message.c calls the class's reset, not the bus's).</summary>
    public void ResetDevice() => Ask(RemoteCommand.DeviceReset, 0, null, 0, _timeout);

    /// <summary>Gives the model the eventfds that it signals and that it listens to. Not answered.</summary>
    public void SetIrqFds(SafeFileHandle interrupt, SafeFileHandle resample)
    {
        int* descriptors = stackalloc int[2] { Descriptor.Number(interrupt), Descriptor.Number(resample) };
        lock (_lock) Transmit(RemoteCommand.SetIrqFd, 0, null, 0, new ReadOnlySpan<int>(descriptors, 2), StreamSocket.Deadline.In(_timeout));
    }

    /// <summary>Replaces all memory that the model can reach. Not answered; a region that QEMU cannot map makes it end.</summary>
    /// <param name="table">Addresses and sizes, in the order of the descriptors.</param>
    /// <param name="descriptors">1 to <see cref="MaxRegions"/> memfds.</param>
    internal void SyncMemory(in MemoryTable table, ReadOnlySpan<int> descriptors)
    {
        MemoryTable copy = table;
        lock (_lock) Transmit(RemoteCommand.SyncSysmem, 0, &copy, sizeof(MemoryTable), descriptors, StreamSocket.Deadline.In(_timeout));
    }

    /// <summary>
    /// Throws away what a predecessor left in the socket that was killed between request and reply. Replies carry no number, so a sequence of
    /// two requests is sent whose answers no single stale reply can imitate: vendor id alone, then vendor and device id. What comes before
    /// these two is stale, also half a reply. Nothing is awaited longer than it takes the model to answer.
    /// </summary>
    /// <exception cref="DeviceFaultException">The model does not answer as a device should; only a new model process helps.</exception>
    public void DrainStaleReply()
    {
        const int Expected = 2 * LongestReply;
        StreamSocket.Deadline deadline = StreamSocket.Deadline.In(_timeout);
        byte* chunk = stackalloc byte[512];
        byte* tail = stackalloc byte[Expected];
        lock (_lock)
        {
            _outOfStep = true;
            SendIdentityRequest(2, deadline);
            SendIdentityRequest(4, deadline);
            int held = 0;
            for (int total = 0; held < Expected || !IsIdentity(tail);)
            {
                int received = ReceiveSome(RemoteCommand.PciConfigRead, 0, chunk, 512, deadline);
                if ((total += received) > MaxStaleBytes) throw Fault(RemoteCommand.PciConfigRead, 0, $"over {MaxStaleBytes} stale bytes lie in the socket");
                held = AppendToTail(tail, Expected, held, chunk, received);
            }
            if (_socket.HasBytes()) throw Fault(RemoteCommand.PciConfigRead, 0, "replies arrive that nobody asked for");
            _outOfStep = false;
        }
    }

    public void Dispose()
    {
        lock (_lock) _socket.Dispose();
    }

    private static int AppendToTail(byte* tail, int capacity, int held, byte* chunk, int received)
    {
        int taken = Math.Min(received, capacity);
        int kept = Math.Min(held, capacity - taken);
        Buffer.MemoryCopy(tail + held - kept, tail, capacity, kept);
        Buffer.MemoryCopy(chunk + received - taken, tail + kept, capacity - kept, taken);
        return kept + taken;
    }

    /// <summary>Two replies: a 16-bit id, then the same with a device id above it, which keeps [x][id] and [id][id] from matching.</summary>
    private static bool IsIdentity(byte* replies)
    {
        Header* first = (Header*)replies;
        Header* second = (Header*)(replies + LongestReply);
        ulong vendor = *(ulong*)(first + 1);
        ulong both = *(ulong*)(second + 1);
        return first->Command == RemoteCommand.Ret && first->Size == sizeof(ulong) && second->Command == RemoteCommand.Ret && second->Size == sizeof(ulong)
            && vendor <= ushort.MaxValue && both > ushort.MaxValue && (both & ushort.MaxValue) == vendor;
    }

    private void SendIdentityRequest(int length, StreamSocket.Deadline deadline)
    {
        ConfigAccess access = new() { Length = length };
        Transmit(RemoteCommand.PciConfigRead, 0, &access, sizeof(ConfigAccess), default, deadline);
    }

    private ulong Ask(RemoteCommand command, ulong address, void* payload, int payloadLength, TimeSpan timeout)
    {
        StreamSocket.Deadline deadline = StreamSocket.Deadline.In(timeout);
        lock (_lock)
        {
            if (_outOfStep) throw Fault(command, address, "an earlier request failed; requests and replies are out of step");
            _outOfStep = true;
            Transmit(command, address, payload, payloadLength, default, deadline);
            ulong value = ReceiveReply(command, address, deadline);
            _outOfStep = false;
            return value;
        }
    }

    private void Transmit(RemoteCommand command, ulong address, void* payload, int payloadLength, ReadOnlySpan<int> descriptors, StreamSocket.Deadline deadline)
    {
        Header header = new() { Command = command, Size = (ulong)payloadLength };
        ThrowUnlessDone(_socket.Send(&header, HeaderSize, payload, payloadLength, descriptors, deadline), command, address);
    }

    /// <summary>
    /// Asks for the whole reply at once: a process that is killed here has taken all of it or nothing. A DEVICE_RESET reply has no
    /// value (message.c leaves its size 0), every other one has 64 bits.
    /// </summary>
    private ulong ReceiveReply(RemoteCommand command, ulong address, StreamSocket.Deadline deadline)
    {
        int expected = command == RemoteCommand.DeviceReset ? HeaderSize : LongestReply;
        byte* reply = stackalloc byte[LongestReply];
        for (int held = 0; held < expected;)
        {
            held += ReceiveSome(command, address, reply + held, expected - held, deadline);
            Header* header = (Header*)reply;
            if (held < HeaderSize) continue;
            if (header->Command != RemoteCommand.Ret) throw Fault(command, address, $"answered with command {(int)header->Command} instead of RET");
            if (header->Size != (ulong)(expected - HeaderSize)) throw Fault(command, address, $"answered with {header->Size} bytes instead of {expected - HeaderSize}");
        }
        return expected == HeaderSize ? 0 : *(ulong*)(reply + HeaderSize);
    }

    private int ReceiveSome(RemoteCommand command, ulong address, byte* buffer, int length, StreamSocket.Deadline deadline)
    {
        ThrowUnlessDone(_socket.Receive(buffer, length, deadline, out int received), command, address);
        return received;
    }

    private void ThrowUnlessDone(StreamSocket.Outcome outcome, RemoteCommand command, ulong address)
    {
        if (outcome == StreamSocket.Outcome.Done) return;
        throw Fault(command, address, outcome == StreamSocket.Outcome.Closed
            ? "the device model has ended; see its last lines of output"
            : "no reply in time; the device model is stopped or overloaded");
    }

    private DeviceFaultException Fault(RemoteCommand command, ulong address, string what) => new($"{Name}: {command} at 0x{address:x}: {what}");
}
