using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using Xinim.Ipc.Native;
using Xinim.Vfio.Sockets;
using static Xinim.Vfio.VhostUser.VhostUserProtocol;

namespace Xinim.Vfio.VhostUser;

/// <summary>
/// One holder's end of the socket to a back end. The supervisor and the driver each have one over the same socket. Replies are the driver's while
/// one runs and the supervisor's while none does; what is not answered the supervisor may send at any time. Nothing that a reply says is
/// believed: another request, another size, no reply flag or silence is a <see cref="DeviceFaultException"/>, and the connection is of no
/// further use then.
/// </summary>
internal sealed unsafe class VhostUserLink : IDisposable
{
    /// <summary>How long a reply may take where nothing else is said.</summary>
    public static readonly TimeSpan DefaultTimeout = TimeSpan.FromSeconds(2);

    /// <summary>Unasked answers to the supervisor's memory messages that a driver passes over before it takes the back end for broken.</summary>
    private const int MaxStrays = 64;

    private readonly StreamSocket _socket;
    private readonly MessageReader _reader;
    private readonly TimeSpan _timeout;

    /// <param name="socket">Connected; owned by the link from now on.</param>
    /// <param name="name">For messages.</param>
    public VhostUserLink(SafeFileHandle socket, string name, TimeSpan? timeout = null)
    {
        _socket = new StreamSocket(socket);
        _reader = new MessageReader(_socket);
        Name = name;
        _timeout = timeout ?? DefaultTimeout;
    }

    /// <summary>For messages.</summary>
    public string Name { get; }

    /// <summary>The socket. Owned by this object.</summary>
    public SafeFileHandle Handle => _socket.Handle;

    /// <summary>REPLY_ACK is negotiated: <see cref="Do{T}"/> waits for the back end's consent.</summary>
    public bool Acknowledges { get; set; }

    /// <summary>Sends a request that is not answered.</summary>
    public void Send(VhostUserRequest request, ReadOnlySpan<byte> payload = default, params ReadOnlySpan<SafeFileHandle> handles) => Transmit(request, HeaderFlags.Version, payload, handles);

    /// <inheritdoc cref="Send(VhostUserRequest, ReadOnlySpan{byte}, ReadOnlySpan{SafeFileHandle})"/>
    public void Send<T>(VhostUserRequest request, in T payload, params ReadOnlySpan<SafeFileHandle> handles)
        where T : unmanaged
        => Send(request, MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in payload)), handles);

    /// <summary>Sends a request, and waits until the back end has carried it out where it can say so.</summary>
    /// <exception cref="DeviceFaultException">It refuses.</exception>
    public void Do(VhostUserRequest request, ReadOnlySpan<byte> payload = default, params ReadOnlySpan<SafeFileHandle> handles)
    {
        Transmit(request, Acknowledges ? HeaderFlags.Version | HeaderFlags.NeedReply : HeaderFlags.Version, payload, handles);
        if (Acknowledges && ReceiveNumber(request) is not 0 and ulong code) throw Fault(request, $"refused by the back end (0x{code:x})");
    }

    /// <inheritdoc cref="Do(VhostUserRequest, ReadOnlySpan{byte}, ReadOnlySpan{SafeFileHandle})"/>
    public void Do<T>(VhostUserRequest request, in T payload, params ReadOnlySpan<SafeFileHandle> handles)
        where T : unmanaged
        => Do(request, MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in payload)), handles);

    /// <summary>Asks for a number.</summary>
    public ulong AskNumber(VhostUserRequest request)
    {
        Send(request);
        return ReceiveNumber(request);
    }

    /// <summary>Asks something; the answer is valid until the next one.</summary>
    public ReadOnlySpan<byte> Ask(VhostUserRequest request, ReadOnlySpan<byte> payload)
    {
        Send(request, payload);
        return TryReceive(request, StreamSocket.Deadline.In(_timeout), out ReadOnlySpan<byte> answer) ? answer : throw Fault(request, $"no answer within {_timeout.TotalMilliseconds:0} ms");
    }

    /// <summary>Takes the number that was asked for, if it is there in time.</summary>
    public bool TryReceiveNumber(VhostUserRequest request, StreamSocket.Deadline deadline, out ulong value)
    {
        value = 0;
        if (!TryReceive(request, deadline, out ReadOnlySpan<byte> answer)) return false;
        if (answer.Length != sizeof(ulong)) throw Fault(request, $"answered with {answer.Length} bytes instead of {sizeof(ulong)}");
        value = MemoryMarshal.Read<ulong>(answer);
        return true;
    }

    /// <summary>Ends the connection for all who hold it; the back end sees it closed.</summary>
    public void Shutdown() => _socket.Shutdown();

    public void Dispose() => _socket.Dispose();

    public DeviceFaultException Fault(VhostUserRequest request, string what) => new($"{Name}: {request}: {what}");

    private ulong ReceiveNumber(VhostUserRequest request)
        => TryReceiveNumber(request, StreamSocket.Deadline.In(_timeout), out ulong value) ? value : throw Fault(request, $"no answer within {_timeout.TotalMilliseconds:0} ms");

    private void Transmit(VhostUserRequest request, HeaderFlags flags, ReadOnlySpan<byte> payload, ReadOnlySpan<SafeFileHandle> handles)
    {
        Header header = new(request, flags, (uint)payload.Length);
        Span<int> descriptors = stackalloc int[handles.Length];
        for (int i = 0; i < handles.Length; i++) descriptors[i] = Descriptor.Number(handles[i]);
        fixed (byte* bytes = payload)
        {
            StreamSocket.Outcome outcome = _socket.Send(&header, HeaderSize, bytes, payload.Length, descriptors, StreamSocket.Deadline.In(_timeout));
            if (outcome == StreamSocket.Outcome.TimedOut) throw Fault(request, "the back end does not read its socket");
            if (outcome == StreamSocket.Outcome.Closed) throw Gone(request);
        }
    }

    private bool TryReceive(VhostUserRequest request, StreamSocket.Deadline deadline, out ReadOnlySpan<byte> answer)
    {
        for (int strays = 0; strays < MaxStrays; strays++)
        {
            Header header;
            try
            {
                StreamSocket.Outcome outcome = _reader.TryRead(deadline, out header, out answer);
                if (outcome == StreamSocket.Outcome.Closed) throw Gone(request);
                if (outcome == StreamSocket.Outcome.TimedOut) return false;
            }
            catch (InvalidDataException nonsense)
            {
                throw Fault(request, $"the back end sent {nonsense.Message}");
            }

            if ((header.Flags & HeaderFlags.Reply) == 0) throw Fault(request, $"the back end sent {header.Request}, which is no reply");
            if (header.Request == request) return true;
            // Some back ends answer what the supervisor sent meanwhile although nobody asked for it.
            if (header.Request is not (VhostUserRequest.SetMemoryTable or VhostUserRequest.AddMemoryRegion or VhostUserRequest.RemoveMemoryRegion))
                throw Fault(request, $"answered with {header.Request}");
        }

        throw Fault(request, $"{MaxStrays} answers came to what nobody asked");
    }

    private DeviceFaultException Gone(VhostUserRequest request) => Fault(request, "the back end has closed the connection; see what it says itself");
}
