using Xinim.Ipc.Channels;
using Xunit;

namespace Xinim.Ipc.Tests.Channels;

public sealed class ChannelListenerTests : IDisposable
{
    private const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite;
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);
    private readonly string _folder = Directory.CreateTempSubdirectory("xinim-").FullName;

    private string Place => Path.Combine(_folder, "socket");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void A_client_is_accepted_with_who_it_is()
    {
        using ChannelListener listener = ChannelListener.Listen(Place, OwnerOnly);
        Assert.Equal(OwnerOnly, File.GetUnixFileMode(Place));
        using Channel client = ChannelListener.Connect(Place);
        (Channel accepted, PeerCredentials peer) = listener.Accept()!.Value;
        using (accepted)
        {
            Assert.Equal(Environment.ProcessId, peer.Pid);
            client.Send(new MessageHeader(9, 0, 0));
            using ChannelMessage message = accepted.Receive(Limit);
            Assert.Equal(9u, message.Header.Type);
        }
    }

    [Fact]
    public void Where_nobody_waits_accepting_returns_at_once()
    {
        using ChannelListener listener = ChannelListener.Listen(Place, OwnerOnly);
        bool nobody = false;
        Thread accepting = new(() => nobody = listener.Accept() is null) { IsBackground = true };
        accepting.Start();
        Assert.True(accepting.Join(Limit), "it waits");
        Assert.True(nobody);
    }

    [Fact]
    public void A_live_daemons_place_is_not_taken()
    {
        using ChannelListener listener = ChannelListener.Listen(Place, OwnerOnly);
        Assert.Contains(Place, Assert.Throws<LinuxException>(() => ChannelListener.Listen(Place, OwnerOnly)).Message, StringComparison.Ordinal);
        using Channel client = ChannelListener.Connect(Place);
    }

    [Fact]
    public void A_dead_daemons_place_is_taken()
    {
        ChannelListener dead = ChannelListener.Listen(Place, OwnerOnly);
        dead.Handle.Dispose();
        Assert.True(File.Exists(Place));
        using ChannelListener listener = ChannelListener.Listen(Place, OwnerOnly);
        using Channel client = ChannelListener.Connect(Place);
    }

    [Fact]
    public void A_file_that_is_no_socket_is_not_deleted()
    {
        File.WriteAllText(Place, "somebody's work");
        Assert.Throws<LinuxException>(() => ChannelListener.Listen(Place, OwnerOnly));
        Assert.Equal("somebody's work", File.ReadAllText(Place));
    }

    [Fact]
    public void Nobody_listening_is_said_with_the_remedy() =>
        Assert.Contains("xinim daemon", Assert.Throws<LinuxException>(() => ChannelListener.Connect(Place)).Message, StringComparison.Ordinal);

    [Fact]
    public void A_path_too_long_for_Linux_is_refused()
    {
        string path = Path.Combine(_folder, new string('x', 108));
        Assert.Contains("107", Assert.Throws<LinuxException>(() => ChannelListener.Listen(path, OwnerOnly)).Message, StringComparison.Ordinal);
        Assert.Throws<LinuxException>(() => ChannelListener.Connect(path));
    }

    [Fact]
    public void The_place_is_free_again_after_the_end()
    {
        ChannelListener.Listen(Place, OwnerOnly).Dispose();
        Assert.False(File.Exists(Place));
    }
}
