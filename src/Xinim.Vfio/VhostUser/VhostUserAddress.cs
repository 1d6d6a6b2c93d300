using System.Text;
using Xinim.Ipc;
using Xinim.Vfio.Sockets;

namespace Xinim.Vfio.VhostUser;

/// <summary>A vhost-user device as the configuration names it: <c>vhost-user-net:/path/to.sock</c> or <c>vhost-user-blk:/path/to.sock</c>.</summary>
/// <param name="Text">All of it.</param>
/// <param name="Type">Virtio device type [V §5]: 1 network, 2 block.</param>
/// <param name="Path">Of the socket at which the back end listens.</param>
public sealed record VhostUserAddress(string Text, uint Type, string Path)
{
    private static readonly (string Prefix, uint Type)[] Kinds = [("vhost-user-net:", 1), ("vhost-user-blk:", 2)];

    /// <summary>True where a device of the configuration is meant as a vhost-user one.</summary>
    public static bool IsOne(string device) => device.StartsWith("vhost-user", StringComparison.Ordinal);

    /// <exception cref="LinuxException">It is not of the form; the message says what is wrong.</exception>
    public static VhostUserAddress Parse(string device)
    {
        string path = device[(device.IndexOf(':') + 1)..];
        if (TypeOf(device) is not { } type) throw new LinuxException($"'{device}' names no vhost-user device; write {string.Join(" or ", Kinds.Select(kind => $"{kind.Prefix}/run/back-end.sock"))}");
        if (!path.StartsWith('/') || path.Any(char.IsControl)) throw new LinuxException($"the socket of '{device}' is no absolute path; write for example /run/back-end.sock");
        int bytes = Encoding.UTF8.GetByteCount(path);
        if (bytes > StreamSocket.MaxPath) throw new LinuxException($"the socket path of '{device}' has {bytes} bytes; Linux allows {StreamSocket.MaxPath}");
        return new VhostUserAddress(device, type, path);
    }

    /// <summary>The type of a device by its name, which may have been cut behind the prefix; null where the name is no vhost-user device's.</summary>
    internal static uint? TypeOf(string name)
    {
        foreach ((string prefix, uint type) in Kinds) if (name.StartsWith(prefix, StringComparison.Ordinal)) return type;
        return null;
    }
}
