using Microsoft.Win32.SafeHandles;
using Tmds.Linux;
using Xinim.Ipc;
using Xinim.Ipc.Native;
using static Tmds.Linux.LibC;

namespace Xinim.Vfio.Sockets;

/// <summary>
/// A descriptor that becomes readable when something happens to one of others: it is an epoll instance (epoll(7)), so that one watch serves for
/// several, and for a hang-up alone on a socket whose bytes are somebody else's.
/// </summary>
internal sealed unsafe class EventGroup : IDisposable
{
    public EventGroup() => Handle = Descriptor.Own(epoll_create1(EPOLL_CLOEXEC), "cannot make an epoll instance");

    /// <summary>Readable while something is so. Owned by this object.</summary>
    public SafeFileHandle Handle { get; }

    /// <summary>The group is ready when the descriptor is readable or closed by its peer.</summary>
    public void AddReadable(SafeFileHandle handle) => Add(handle, EPOLLIN);

    /// <summary>The group is ready when the peer of a socket has closed it; bytes do not count.</summary>
    public void AddHangUp(SafeFileHandle socket) => Add(socket, EPOLLRDHUP);

    /// <summary>Before the descriptor is closed: others may hold the same open file, which would stay in the group.</summary>
    public void Remove(SafeFileHandle handle)
    {
        epoll_event none = default;
        _ = epoll_ctl(Descriptor.Number(Handle), EPOLL_CTL_DEL, Descriptor.Number(handle), &none);
    }

    public void Dispose() => Handle.Dispose();

    private void Add(SafeFileHandle handle, int events)
    {
        epoll_event request = new() { events = events };
        if (epoll_ctl(Descriptor.Number(Handle), EPOLL_CTL_ADD, Descriptor.Number(handle), &request) != 0) throw LinuxException.Last("cannot watch a descriptor");
    }
}
