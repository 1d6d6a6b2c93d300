namespace Xinim.Ipc;

/// <summary>Where the daemon and its clients meet unless they are told otherwise.</summary>
public static class RuntimePaths
{
    /// <summary>Names another socket, for every command.</summary>
    public const string SocketVariable = "XINIM_SOCKET";

    /// <summary>/run/xinim for root; for others a folder of their own.</summary>
    public static string Folder => Environment.IsPrivilegedProcess
        ? "/run/xinim"
        : Path.Combine(Environment.GetEnvironmentVariable("XDG_RUNTIME_DIR") is { Length: > 0 } own ? own : $"/tmp/xinim-{Environment.UserName}", "xinim");

    /// <summary>The daemon's socket: $XINIM_SOCKET if set, the root daemon's if there is one, this user's own otherwise.</summary>
    public static string Socket
    {
        get
        {
            if (Environment.GetEnvironmentVariable(SocketVariable) is { Length: > 0 } named) return named;
            string own = Path.Combine(Folder, "xinim.sock");
            const string System = "/run/xinim/xinim.sock";
            return !File.Exists(own) && File.Exists(System) ? System : own;
        }
    }
}
