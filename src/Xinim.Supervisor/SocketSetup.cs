using Xinim.Ipc;
using Xinim.Ipc.Channels;
using Xinim.Supervisor.Configuration;

namespace Xinim.Supervisor;

/// <summary>Makes the daemon's socket with its folder and permissions.</summary>
internal static class SocketSetup
{
    private const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite;
    private const UnixFileMode WithGroup = OwnerOnly | UnixFileMode.GroupRead | UnixFileMode.GroupWrite;
    private const UnixFileMode FolderMode = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute
        | UnixFileMode.GroupRead | UnixFileMode.GroupExecute | UnixFileMode.OtherRead | UnixFileMode.OtherExecute;

    public static ChannelListener Listen(DaemonConfiguration configuration)
    {
        string path = configuration.Socket;
        try
        {
            Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(path))!, FolderMode);
            ChannelListener listener = ChannelListener.Listen(path, configuration.SocketGroup is null ? OwnerOnly : WithGroup);
            if (configuration.SocketGroup is { } group) ChannelListener.SetGroup(path, group);
            return listener;
        }
        catch (Exception exception) when (exception is UnauthorizedAccessException or IOException and not LinuxException)
        {
            throw new LinuxException($"cannot listen at {path}: {exception.Message}; run as root, or choose another 'socket' in the configuration");
        }
    }
}
