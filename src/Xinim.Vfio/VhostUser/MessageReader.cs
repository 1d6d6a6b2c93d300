using Xinim.Vfio.Sockets;
using static Xinim.Vfio.VhostUser.VhostUserProtocol;

namespace Xinim.Vfio.VhostUser;

/// <summary>
/// Puts messages together from a stream, piece by piece where they come in pieces. Descriptors that a peer attaches are closed by the kernel:
/// none is expected, and none is received.
/// </summary>
internal sealed unsafe class MessageReader(StreamSocket socket)
{
    private readonly byte[] _bytes = new byte[HeaderSize + MaxPayload];
    private int _held;

    /// <summary>Takes the next message.</summary>
    /// <param name="payload">Valid until the next call.</param>
    /// <returns>TimedOut where not all of it is there in time: the next call goes on.</returns>
    /// <exception cref="InvalidDataException">The header is nonsense.</exception>
    public StreamSocket.Outcome TryRead(StreamSocket.Deadline deadline, out Header header, out ReadOnlySpan<byte> payload)
    {
        header = default;
        payload = default;
        fixed (byte* bytes = _bytes)
        {
            for (int wanted = HeaderSize; ;)
            {
                while (_held < wanted)
                {
                    // No more than this message: what follows is the next one's.
                    StreamSocket.Outcome outcome = socket.Receive(bytes + _held, wanted - _held, deadline, out int received);
                    if (outcome != StreamSocket.Outcome.Done) return outcome;
                    _held += received;
                }

                header = *(Header*)bytes;
                if ((header.Flags & HeaderFlags.VersionMask) != HeaderFlags.Version) throw new InvalidDataException($"flags 0x{(uint)header.Flags:x} in a header, which are not of version 1");
                if (header.Size > MaxPayload) throw new InvalidDataException($"a payload of {header.Size} bytes; at most {MaxPayload} can be");
                if (wanted == HeaderSize + (int)header.Size) break;
                wanted = HeaderSize + (int)header.Size;
            }
        }

        _held = 0;
        payload = _bytes.AsSpan(HeaderSize, (int)header.Size);
        return StreamSocket.Outcome.Done;
    }
}
