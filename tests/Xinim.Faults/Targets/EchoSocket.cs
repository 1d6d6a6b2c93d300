using System.Net.Sockets;

namespace Xinim.Faults.Targets;

/// <summary>The other side of a device model's port: gives back what it gets, on a thread of its own.</summary>
internal sealed class EchoSocket : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("xinim-faults-port-");
    private readonly Socket _socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);

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
        _socket.Connect(new UnixDomainSocketEndPoint(Path));
        new Thread(Run) { IsBackground = true, Name = "echo" }.Start();
    }

    public void Dispose()
    {
        _socket.Dispose();
        _folder.Delete(recursive: true);
    }

    private void Run()
    {
        byte[] piece = new byte[1 << 16];
        try
        {
            for (int count; (count = _socket.Receive(piece)) != 0;)
            {
                for (int sent = 0; sent < count;) sent += _socket.Send(piece.AsSpan(sent, count - sent));
            }
        }
        catch (Exception exception) when (exception is SocketException or ObjectDisposedException)
        {
            // The model has ended, or the campaign has.
        }
    }
}
