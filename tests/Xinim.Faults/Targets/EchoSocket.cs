using System.Net.Sockets;
using Xinim.TestKit.Remote;

namespace Xinim.Faults.Targets;

/// <summary>The other side of a device model's port: gives back what it gets, on a thread of its own.</summary>
internal sealed class EchoSocket : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("xinim-faults-port-");
    private Socket? _socket;

    public EchoSocket()
    {
        // Device models run as users of their own where the campaign is root, and make the socket.
        File.SetUnixFileMode(_folder.FullName, (UnixFileMode)0b111_111_111);
    }

    /// <summary>Where the device model listens.</summary>
    public string Path => System.IO.Path.Combine(_folder.FullName, "port");

    /// <summary>The model listens by now.</summary>
    public void Start()
    {
        Socket socket = _socket = PortSocket.Connect(Path);
        new Thread(() => Run(socket)) { IsBackground = true, Name = "echo" }.Start();
    }

    public void Dispose()
    {
        _socket?.Dispose();
        _folder.Delete(recursive: true);
    }

    private static void Run(Socket socket)
    {
        byte[] piece = new byte[1 << 16];
        try
        {
            for (int count; (count = socket.Receive(piece)) != 0;)
            {
                for (int sent = 0; sent < count;) sent += socket.Send(piece.AsSpan(sent, count - sent));
            }
        }
        catch (Exception exception) when (exception is SocketException or ObjectDisposedException)
        {
            // The model has ended, or the campaign has.
        }
    }
}
