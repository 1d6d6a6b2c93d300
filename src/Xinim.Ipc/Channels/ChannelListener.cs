using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Win32.SafeHandles;
using Tmds.Linux;
using Xinim.Ipc.Native;
using static Tmds.Linux.LibC;

namespace Xinim.Ipc.Channels;

/// <summary>The place in the file system where clients find the daemon.</summary>
public sealed unsafe class ChannelListener : IDisposable
{
    private const int Backlog = 64;

    private ChannelListener(SafeFileHandle handle, string path)
    {
        Handle = handle;
        Path = path;
    }

    /// <summary>Readable when a client waits.</summary>
    public SafeFileHandle Handle { get; }

    public string Path { get; }

    /// <summary>Listens at a path. A socket that a dead daemon left there is replaced, a live daemon's is not.</summary>
    /// <param name="path">At most 107 bytes (unix(7)).</param>
    /// <param name="mode">Permissions: whoever may write may connect.</param>
    /// <exception cref="LinuxException">Another daemon listens there, or the place cannot be used.</exception>
    public static ChannelListener Listen(string path, UnixFileMode mode)
    {
        sockaddr_un address = AddressOf(path);
        if (File.Exists(path))
        {
            if (!IsSocket(path)) throw new LinuxException($"{path} is no socket and is left alone; choose another 'socket' in the configuration");
            if (TryConnect(path, out _) is { } other)
            {
                other.Dispose();
                throw new LinuxException($"another daemon listens at {path}; stop it, or choose another 'socket' in the configuration");
            }

            File.Delete(path);
        }

        // Accepting must not wait for a client that went away again.
        SafeFileHandle handle = MakeSocket(SOCK_NONBLOCK);
        if (bind(Descriptor.Number(handle), (sockaddr*)&address, sizeof(sockaddr_un)) != 0) throw Failure(handle, $"cannot listen at {path}");
        File.SetUnixFileMode(path, mode);
        if (listen(Descriptor.Number(handle), Backlog) != 0) throw Failure(handle, $"cannot listen at {path}");
        return new ChannelListener(handle, path);
    }

    /// <summary>Lets a group connect to the socket at <paramref name="path"/>.</summary>
    /// <exception cref="LinuxException">There is no such group, or this user may not give the socket to it.</exception>
    public static void SetGroup(string path, string group)
    {
        uint id = NativeMethods.FindGroup(group) ?? throw new LinuxException($"there is no group '{group}'; make it with 'groupadd --system {group}'");
        byte[] name = Encoding.UTF8.GetBytes(path + '\0');
        fixed (byte* bytes = name)
        {
            if (chown(bytes, uint.MaxValue, id) != 0) throw LinuxException.Last($"cannot give {path} to group {group}");
        }
    }

    /// <summary>Connects to a daemon.</summary>
    /// <exception cref="LinuxException">Nobody listens there, or this user may not connect.</exception>
    public static Channel Connect(string path)
    {
        SafeFileHandle? handle = TryConnect(path, out int error);
        if (handle is not null) return new Channel(handle);
        string remedy = error == ENOENT || error == ECONNREFUSED ? "no daemon listens there; start it with 'xinim daemon'"
            : error == EACCES || error == EPERM ? "this user may not; join the group that the daemon's 'socketGroup' names"
            : "see the daemon's log";
        throw new LinuxException($"cannot connect to {path} ({remedy})", error);
    }

    /// <summary>Takes a waiting client, with who it is as the kernel says; null where none waits any more.</summary>
    public (Channel Channel, PeerCredentials Peer)? Accept()
    {
        int descriptor = accept4(Descriptor.Number(Handle), null, null, SOCK_CLOEXEC);
        if (descriptor < 0) return null;
        SafeFileHandle client = new(descriptor, ownsHandle: true);
        ucred credentials;
        socklen_t length = sizeof(ucred);
        if (getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &credentials, &length) == 0)
            return (new Channel(client), new PeerCredentials(credentials.pid, credentials.uid, credentials.gid));
        client.Dispose();
        return null;
    }

    public void Dispose()
    {
        Handle.Dispose();
        File.Delete(Path);
    }

    private static SafeFileHandle? TryConnect(string path, out int error)
    {
        sockaddr_un address = AddressOf(path);
        SafeFileHandle handle = MakeSocket();
        bool connected = connect(Descriptor.Number(handle), (sockaddr*)&address, sizeof(sockaddr_un)) == 0;
        error = connected ? 0 : Marshal.GetLastPInvokeError();
        if (connected) return handle;
        handle.Dispose();
        return null;
    }

    private static bool IsSocket(string path)
    {
        Tmds.Linux.stat status;
        fixed (byte* bytes = Encoding.UTF8.GetBytes(path + '\0')) return lstat(bytes, &status) == 0 && (status.st_mode & S_IFMT) == S_IFSOCK;
    }

    private static SafeFileHandle MakeSocket(int flags = 0)
        => Descriptor.Own(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | flags, 0), "cannot make a socket");

    private static sockaddr_un AddressOf(string path)
    {
        sockaddr_un address = new() { sun_family = AF_UNIX };
        Span<byte> room = new(address.sun_path, 108);
        byte[] bytes = Encoding.UTF8.GetBytes(path);
        if (bytes.Length >= room.Length) throw new LinuxException($"the socket path {path} has {bytes.Length} bytes; Linux allows {room.Length - 1}");
        bytes.CopyTo(room);
        return address;
    }

    private static LinuxException Failure(SafeFileHandle handle, string message)
    {
        LinuxException failure = LinuxException.Last(message);
        handle.Dispose();
        return failure;
    }
}

/// <summary>Who connected, at the time of connecting (SO_PEERCRED, unix(7)).</summary>
public readonly record struct PeerCredentials(int Pid, uint Uid, uint Gid);
