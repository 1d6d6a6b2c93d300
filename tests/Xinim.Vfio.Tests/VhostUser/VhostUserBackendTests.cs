using System.Net.Sockets;
using Microsoft.Win32.SafeHandles;
using Xinim.Ipc;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Native;
using Xinim.TestKit.Virtio;
using Xinim.Vfio.Dma;
using Xinim.Vfio.VhostUser;
using Xunit;

namespace Xinim.Vfio.Tests.VhostUser;

/// <summary>The supervisor's side against a back end whose words the test chooses.</summary>
public sealed class VhostUserBackendTests : IDisposable
{
    private const ulong Slots = 1 << 15;
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("xinim-vu-");
    private readonly List<IDisposable> _owned = [];
    private readonly string _path;
    private readonly VhostUserBackend _backend;

    public VhostUserBackendTests()
    {
        _path = Path.Combine(_folder.FullName, "s");
        _backend = new VhostUserBackend(VhostUserAddress.Parse($"vhost-user-net:{_path}"));
    }

    public void Dispose()
    {
        _backend.Dispose();
        foreach (IDisposable owned in _owned) owned.Dispose();
        _folder.Delete(recursive: true);
    }

    [Fact]
    public void A_back_end_that_is_away_is_waited_for_and_named()
    {
        Assert.Equal($"waiting for the back end at {_path}: No such file or directory", _backend.FindMissing());
        Assert.Empty(_backend.DriverHandles);
        using VhostUserPeer peer = new(_path);
        AwaitReady();
        Assert.Equal(2, _backend.DriverHandles.Count);
        Assert.Equal("1af4:1041", _backend.Identity.ToString());
    }

    [Fact]
    public void A_socket_that_nobody_serves_is_waited_for()
    {
        using Socket deaf = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        deaf.Bind(new UnixDomainSocketEndPoint(_path));
        Assert.Equal($"waiting for the back end at {_path}: Connection refused", _backend.FindMissing());
    }

    [Fact]
    public void The_first_words_are_these()
    {
        VhostUserPeer peer = Serve();
        AwaitReady();
        VhostUserPeer.Until(() => peer.Heard.Count == 6, "the handshake is heard");
        // Owner, features, protocol features offered and agreed on (the unknown one not), slots, requests.
        Assert.Equal(["3:", "1:", "15:", $"16:{1 | 1 << 3 | 1 << 5 | 1 << 9 | 1 << 13 | 1 << 15 | 1 << 16},0", "36:", "21:"], peer.Heard);
    }

    [Fact]
    public void A_back_end_without_protocol_features_is_asked_for_none()
    {
        VhostUserPeer peer = Serve(peer => peer.Features = 1ul << 32);
        AwaitReady();
        Assert.Single(_backend.DriverHandles);
        Assert.Equal(["3:", "1:"], peer.Heard);
    }

    [Theory]
    [InlineData(Slots)]
    [InlineData(0)]
    public void Regions_are_reached_wherever_they_came_and_only_while_they_are_mapped(ulong protocol)
    {
        SharedRegion early = Region(1), late = Region(2);
        Iova first = _backend.Map(early, RegionAccess.ReadWrite);
        VhostUserPeer peer = Serve(peer => peer.ProtocolFeatures = protocol);
        AwaitReady();
        Iova second = _backend.Map(late, RegionAccess.Read);
        VhostUserPeer.Until(() => peer.Regions.Count == 2, "two regions are mapped");
        Assert.Equal(((byte?)1, (byte?)2), (peer.Read(first.Value), peer.Read(second.Value + (ulong)late.Size - 1)));
        Assert.Null(peer.Read(first.Value + (ulong)early.Size));
        Assert.DoesNotContain(peer.Heard, message => message.StartsWith(protocol == 0 ? "37:" : "5:", StringComparison.Ordinal));

        _backend.Unmap(first, early.Size);
        VhostUserPeer.Until(() => peer.Regions.Count == 1, "one is taken away");
        Assert.Null(peer.Read(first.Value));
        Assert.Equal((byte?)2, peer.Read(second.Value));
        Assert.Null(peer.Failure);
    }

    [Theory]
    [InlineData(0, 32, 8)]
    [InlineData(Slots, 3, 3)]
    [InlineData(Slots, 40, 40)]
    public void The_back_end_says_how_many_regions_there_can_be(ulong protocol, ulong slots, int most)
    {
        VhostUserPeer peer = Serve(peer => (peer.ProtocolFeatures, peer.MemorySlots) = (protocol, slots));
        AwaitReady();
        Iova[] starts = [.. Enumerable.Range(0, most).Select(_ => _backend.Map(Region(3), RegionAccess.ReadWrite))];
        VhostUserPeer.Until(() => peer.Regions.Count == most, "all are mapped");
        LinuxException refusal = Assert.Throws<LinuxException>(() => _backend.Map(Region(3), RegionAccess.ReadWrite));
        Assert.Contains($"the back end takes {most} regions, all are in use", refusal.Message, StringComparison.Ordinal);
        _backend.Unmap(starts[0], 4096);
        Assert.Equal(starts[0], _backend.Map(Region(4), RegionAccess.ReadWrite));
    }

    [Fact]
    public void A_back_end_with_too_little_room_for_what_is_mapped_is_not_taken()
    {
        for (int i = 0; i < 3; i++) _backend.Map(Region(1), RegionAccess.ReadWrite);
        VhostUserPeer peer = Serve(peer => peer.MemorySlots = 2);
        Assert.Equal($"waiting for a better back end at {_path}: the back end takes 2 regions, and 3 are mapped", AwaitMissing("better"));
        peer.MemorySlots = 3;
        AwaitReady();
    }

    [Fact]
    public void The_last_region_goes_with_the_connection_where_there_are_only_tables()
    {
        SharedRegion region = Region(1);
        Iova start = _backend.Map(region, RegionAccess.ReadWrite);
        VhostUserPeer peer = Serve(peer => peer.ProtocolFeatures = 0);
        AwaitReady();
        VhostUserPeer.Until(() => peer.Regions.Count == 1, "it is mapped");
        _backend.Unmap(start, region.Size);
        VhostUserPeer.Until(() => peer.Regions.Count == 0, "it is gone");
        Assert.True(IsLost());
    }

    [Fact]
    public void A_back_end_that_comes_back_is_told_everything_again()
    {
        Iova start = _backend.Map(Region(5), RegionAccess.ReadWrite);
        VhostUserPeer peer = Serve();
        AwaitReady();
        Assert.False(IsLost());
        SafeFileHandle former = _backend.DriverHandles[0];
        peer.Hang();
        VhostUserPeer.Until(IsLost, "the end is noticed");
        _backend.ClearBusMaster();
        Assert.False(IsLost());
        Assert.True(_backend.Reset());
        AwaitReady();
        VhostUserPeer.Until(() => peer.Regions.Count == 1, "the region is mapped again");
        Assert.Equal((byte?)5, peer.Read(start.Value));
        Assert.NotSame(former, _backend.DriverHandles[0]);
        Assert.Equal(2, peer.Connections);
    }

    [Fact]
    public void A_connection_ends_for_the_driver_that_still_holds_it()
    {
        VhostUserPeer peer = Serve();
        AwaitReady();
        using VhostUserDevice driver = VhostUserDevice.FromHandles(Descriptor.Duplicate(_backend.DriverHandles[0]), null, _backend.Name);
        driver.Synchronize();
        _backend.ClearBusMaster();
        Assert.Contains("has closed the connection", Assert.Throws<DeviceFaultException>(driver.Synchronize).Message, StringComparison.Ordinal);
        AwaitReady();
        Assert.Equal(2, peer.Connections);
    }

    [Fact]
    public void A_back_end_that_is_silent_holds_nobody_up_and_is_taken_when_it_answers()
    {
        VhostUserPeer peer = Serve(peer => peer.Listening.Reset());
        for (int i = 0; i < 5; i++) Assert.Contains("it does not answer", _backend.FindMissing(), StringComparison.Ordinal);
        Assert.Empty(_backend.DriverHandles);
        peer.Listening.Set();
        AwaitReady();
        Assert.Equal(1, peer.Connections);
    }

    [Fact]
    public void A_back_end_that_does_not_read_loses_its_connection_and_the_supervisor_goes_on()
    {
        VhostUserPeer peer = Serve(peer => peer.ProtocolFeatures = Slots);
        AwaitReady();
        peer.Listening.Reset();
        SharedRegion region = Region(1);
        for (int i = 0; i < 100_000 && !IsLost(); i++) _backend.Unmap(_backend.Map(region, RegionAccess.ReadWrite), region.Size);
        Assert.True(IsLost());
        _backend.ClearBusMaster();
        peer.Listening.Set();
        AwaitReady();
    }

    public static TheoryData<string, string> Nonsense => new()
    {
        { "no version", "offers 0x40000000, without VERSION_1" },
        { "no slots", "takes no memory at all" },
        { "another request", "GetFeatures: answered with SetFeatures" },
        { "no reply flag", "GetFeatures: the back end sent GetFeatures, which is no reply" },
        { "another version", "GetFeatures: the back end sent flags 0x6 in a header, which are not of version 1" },
        { "huge", "GetFeatures: the back end sent a payload of 4294967295 bytes" },
        { "short", "GetFeatures: answered with 4 bytes instead of 8" },
        { "half", "GetFeatures: the back end has closed the connection" },
        { "hangs up", "GetFeatures: the back end has closed the connection" },
    };

    [Theory]
    [MemberData(nameof(Nonsense))]
    public void Nonsense_is_named_in_one_line_and_a_back_end_that_comes_to_its_senses_is_taken(string kind, string line)
    {
        VhostUserPeer peer = Serve(peer => peer.Tamper = (request, reply) => Spoil(kind, request, reply));
        string missing = AwaitMissing("better");
        Assert.Contains(line, missing, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', missing);
        Assert.Empty(_backend.DriverHandles);
        peer.Tamper = null;
        AwaitReady();
    }

    [Fact]
    public void Replies_in_pieces_are_put_together()
    {
        VhostUserPeer peer = Serve();
        peer.Tamper = (_, reply) =>
        {
            foreach (byte piece in reply) peer.SendRaw([piece]);
            return [];
        };
        AwaitReady();
    }

    [Fact]
    public void Descriptors_that_nobody_asked_for_do_not_stay_open()
    {
        using SafeFileHandle gift = Descriptor.CreateEvent();
        VhostUserPeer peer = Serve(peer => peer.Attached = [gift, gift, gift]);
        AwaitReady();
        using VhostUserDevice driver = VhostUserDevice.FromHandles(Descriptor.Duplicate(_backend.DriverHandles[0]), null, _backend.Name);
        driver.Synchronize();
        int before = Directory.GetFiles("/proc/self/fd").Length;
        for (int i = 0; i < 100; i++) driver.Synchronize();
        Assert.True(Directory.GetFiles("/proc/self/fd").Length < before + 50);
        Assert.Null(peer.Failure);
    }

    private static byte[]? Spoil(string kind, uint request, byte[] reply)
    {
        switch (kind)
        {
            case "no version" when request == 1: return [.. reply.AsSpan(0, 12), 0, 0, 0, 64, 0, 0, 0, 0];
            case "no slots" when request == 36: return [.. reply.AsSpan(0, 12), .. new byte[8]];
            case "another request": reply[0] = 2; return reply;
            case "no reply flag": reply[4] = 1; return reply;
            case "another version": reply[4] = 6; return reply;
            case "huge": reply.AsSpan(8, 4).Fill(0xFF); return reply;
            case "short": reply[8] = 4; return reply[..16];
            case "half": return null;
            case "hangs up": return null;
            default: return reply;
        }
    }

    private VhostUserPeer Serve(Action<VhostUserPeer>? set = null)
    {
        VhostUserPeer peer = new(_path);
        _owned.Insert(0, peer);
        set?.Invoke(peer);
        return peer;
    }

    private SharedRegion Region(byte fill)
    {
        SharedRegion region = SharedRegion.Create("test", 4096, PageChoice.Ordinary);
        region.Slice(0, 4096).Fill(fill);
        _owned.Add(region);
        return region;
    }

    private bool IsLost() => Descriptor.Poll(0, _backend.Lost!) != 0;

    private void AwaitReady() => VhostUserPeer.Until(() => _backend.FindMissing() is null, "the back end is ready");

    private string AwaitMissing(string word)
    {
        string? missing = null;
        VhostUserPeer.Until(() => (missing = _backend.FindMissing())?.Contains(word, StringComparison.Ordinal) == true, $"'{word}' is missing");
        return missing!;
    }
}
