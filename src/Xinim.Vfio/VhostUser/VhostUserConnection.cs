using Microsoft.Win32.SafeHandles;
using Xinim.Vfio.Sockets;

namespace Xinim.Vfio.VhostUser;

/// <summary>
/// One connection to a back end, as the supervisor holds it: for one driver's life. A back end forgets rings, features and memory of a
/// connection that ends, whatever the driver had done; that is the only reset that every back end knows.
/// </summary>
internal sealed class VhostUserConnection : IDisposable
{
    /// <summary>A back end that leaves its socket full is broken, and the supervisor has other devices to look after.</summary>
    private static readonly TimeSpan SendLimit = TimeSpan.FromMilliseconds(100);

    private readonly VhostUserLink _link;
    private readonly VhostUserHandshake _handshake;
    private SafeFileHandle? _requests;

    /// <param name="socket">Owned from now on, also on failure.</param>
    /// <exception cref="DeviceFaultException">The back end has closed it already.</exception>
    public VhostUserConnection(SafeFileHandle socket, string name)
    {
        _link = new VhostUserLink(socket, name, SendLimit);
        try
        {
            _handshake = new VhostUserHandshake(_link);
        }
        catch
        {
            _link.Dispose();
            throw;
        }
    }

    /// <summary>The socket; owned by this object.</summary>
    public SafeFileHandle Handle => _link.Handle;

    /// <summary>For a driver: the socket, and the one of the back end's own requests where there is one.</summary>
    public IReadOnlyList<SafeFileHandle> DriverHandles => _requests is null ? [_link.Handle] : [_link.Handle, _requests];

    /// <summary>Memory comes and goes region by region.</summary>
    public bool HasSlots => _handshake.Features.HasFlag(VhostUserFeatures.MemorySlots);

    /// <summary>Regions at a time.</summary>
    public int MemorySlots => _handshake.MemorySlots;

    /// <summary>Goes on with the first questions; once they are answered the former connection is forgotten for certain.</summary>
    /// <returns>True when a driver can have it.</returns>
    /// <exception cref="DeviceFaultException">The back end is none, or has gone.</exception>
    public bool Advance(TimeSpan limit)
    {
        if (!_handshake.Advance(limit)) return false;
        if (_requests is not null || !_handshake.Features.HasFlag(VhostUserFeatures.BackendRequests)) return true;
        // Made here: a driver's sandbox has no way to make a socket.
        (_requests, SafeFileHandle theirs) = StreamSocket.CreatePair("a back end's requests");
        using (theirs) _link.Send(VhostUserRequest.SetBackendRequestFd, default, theirs);
        return true;
    }

    /// <summary>Sends what is not answered, also while a driver runs. A back end that is gone or does not read loses the connection, which its driver sees.</summary>
    public void Tell(VhostUserRequest request, ReadOnlySpan<byte> payload, params ReadOnlySpan<SafeFileHandle> handles)
    {
        try
        {
            _link.Send(request, payload, handles);
        }
        catch (DeviceFaultException)
        {
            End();
        }
    }

    /// <summary>The connection ends for all who hold it.</summary>
    public void End() => _link.Shutdown();

    /// <summary>Ends it.</summary>
    public void Dispose()
    {
        End();
        _link.Dispose();
        _requests?.Dispose();
    }
}
