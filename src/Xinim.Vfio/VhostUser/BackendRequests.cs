using Microsoft.Win32.SafeHandles;
using Xinim.Vfio.Sockets;
using static Xinim.Vfio.VhostUser.VhostUserProtocol;

namespace Xinim.Vfio.VhostUser;

/// <summary>The socket of the back end's own requests [VU Back-end message types]. Of these there is one that means something here: the configuration has changed.</summary>
internal sealed unsafe class BackendRequests : IDisposable
{
    private const uint ConfigChange = 2;

    /// <summary>Requests that are taken at a time: others have their turn before a flood goes on.</summary>
    private const int Batch = 16;

    private readonly StreamSocket _socket;
    private readonly MessageReader _reader;
    private readonly string _name;

    /// <param name="socket">Owned from now on.</param>
    /// <param name="name">For messages.</param>
    public BackendRequests(SafeFileHandle socket, string name)
    {
        _socket = new StreamSocket(socket);
        _reader = new MessageReader(_socket);
        _name = name;
    }

    /// <summary>Becomes readable with a request. Owned by this object.</summary>
    public SafeFileHandle Handle => _socket.Handle;

    /// <summary>The back end has closed it: no more requests.</summary>
    public bool IsClosed { get; private set; }

    /// <summary>Takes what is there, and answers what wants an answer.</summary>
    /// <returns>True where the configuration has changed.</returns>
    /// <exception cref="DeviceFaultException">What is there is no request.</exception>
    public bool Take()
    {
        bool changed = false;
        for (int count = 0; count < Batch && !IsClosed; count++)
        {
            StreamSocket.Outcome outcome;
            Header header;
            try
            {
                outcome = _reader.TryRead(StreamSocket.Deadline.In(TimeSpan.Zero), out header, out _);
            }
            catch (InvalidDataException nonsense)
            {
                throw new DeviceFaultException($"{_name}: on the socket of its own requests the back end sent {nonsense.Message}");
            }

            if (outcome == StreamSocket.Outcome.TimedOut) break;
            IsClosed = outcome == StreamSocket.Outcome.Closed;
            if (IsClosed) break;
            changed |= (uint)header.Request == ConfigChange;
            if ((header.Flags & HeaderFlags.NeedReply) != 0) Answer(header.Request, (uint)header.Request == ConfigChange ? 0ul : 1);
        }

        return changed;
    }

    public void Dispose() => _socket.Dispose();

    private void Answer(VhostUserRequest request, ulong code)
    {
        Header header = new(request, HeaderFlags.Version | HeaderFlags.Reply, sizeof(ulong));
        // A back end that does not read its answers does without.
        if (_socket.Send(&header, HeaderSize, &code, sizeof(ulong), default, StreamSocket.Deadline.In(TimeSpan.Zero)) == StreamSocket.Outcome.Closed) IsClosed = true;
    }
}
