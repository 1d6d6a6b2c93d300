using Microsoft.Win32.SafeHandles;
using Xinim.Ipc.Channels;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Native;
using Xinim.Ipc.Processes;
using Xinim.Ipc.Rings;
using Xinim.TestPeer;
using Xunit;

namespace Xinim.Ipc.Tests.Rings;

/// <summary>
/// A peer in another process copies elements from one ring to another and is killed at a random point of its work, life after life on the
/// same memory. What comes out is a prefix of what went in, whole and in order, and the survivor never waits for the dead.
/// </summary>
public sealed class KilledPeerTests : IDisposable
{
    private const int Lives = 200;
    private const uint Capacity = 16;
    private const int MaxElements = 3000;
    private const long PeerWake = 0, TestWake = 128, ToPeer = 256;

    private readonly SharedRegion _region;
    private readonly SafeFileHandle _peerEvent = Descriptor.CreateEvent();
    private readonly SafeFileHandle _testEvent = Descriptor.CreateEvent();
    private readonly long _fromPeer = ToPeer + MessageRing.SizeOf<Element64>(Capacity);

    public KilledPeerTests() => _region = SharedRegion.Create("kill", _fromPeer + MessageRing.SizeOf<Element64>(Capacity), PageChoice.Ordinary);

    public void Dispose()
    {
        _region.Dispose();
        _peerEvent.Dispose();
        _testEvent.Dispose();
    }

    [Fact]
    public void What_a_killed_peer_published_is_whole_and_nothing_else_is_seen()
    {
        Random random = new(20);
        ulong total = 0;
        for (uint life = 1; life <= Lives; life++)
        {
            ulong killAfter = (ulong)random.Next(MaxElements);
            ulong received = Live(life, killAfter);
            Assert.True(received >= killAfter, $"life {life}: killed after {killAfter}, but only {received} came");
            total += received;
        }

        Assert.True(total > Lives, "the peers did nothing");
    }

    /// <summary>Without a kill: sleeping and waking on both sides, through far more elements than the rings hold.</summary>
    [Fact]
    public void A_peer_that_lives_gives_everything_back_and_no_wake_up_is_lost()
    {
        using PeerProcess peer = StartPeer(1);
        Traffic traffic = new(this, 1);
        while (traffic.Received < 50_000) traffic.Exchange(peer.Process, 50_000);
        Assert.Equal(50_000u, traffic.Sent);
        Assert.False(peer.Process.TryReap());
    }

    private ulong Live(uint generation, ulong killAfter)
    {
        using PeerProcess peer = StartPeer(generation);
        Traffic traffic = new(this, generation);
        while (traffic.Received < killAfter) traffic.Exchange(peer.Process, ulong.MaxValue);
        peer.Process.Signal(PosixSignalNumber.Kill);
        // It may still run for some instructions: go on while it dies.
        while (!peer.Process.TryReap()) traffic.Move(ulong.MaxValue);
        traffic.Move(ulong.MaxValue);
        Assert.InRange(traffic.Sent - traffic.Received, 0u, 2 * Capacity);
        return traffic.Received;
    }

    private PeerProcess StartPeer(uint generation)
    {
        MessageRing.Format<Element64>(_region, ToPeer, Capacity, generation);
        MessageRing.Format<Element64>(_region, _fromPeer, Capacity, generation);
        (_region.At<uint>(PeerWake), _region.At<uint>(TestWake)) = (0, 0);
        PeerProcess peer = PeerProcess.Start("echo");
        EchoRequest request = new(_region.Size, ToPeer, _fromPeer, PeerWake, TestWake, generation);
        peer.Channel.Send(new MessageHeader((uint)PeerMessage.Echo, generation, 0), request, _region.Handle, _peerEvent, _testEvent);
        return peer;
    }

    /// <summary>The test's ends of both rings.</summary>
    private sealed class Traffic(KilledPeerTests test, uint generation)
    {
        private readonly RingProducer<Element64> _out = new(test._region, ToPeer, generation);
        private readonly RingConsumer<Element64> _in = new(test._region, test._fromPeer, generation);
        private readonly Doorbell _wakePeer = new(test._region, PeerWake, test._peerEvent);
        private readonly Doorbell _sleep = new(test._region, TestWake, test._testEvent);
        private readonly ulong _firstStamp = (ulong)generation << 32;

        public ulong Sent { get; private set; }

        public ulong Received { get; private set; }

        /// <summary>Moves what can be moved; sleeps when nothing can, until the peer rings or dies.</summary>
        public void Exchange(ChildProcess peer, ulong limit)
        {
            if (Move(limit)) return;
            _sleep.PrepareToSleep();
            if (_in.Peek(1) == 0)
            {
                uint ready = Descriptor.Poll((int)PeerProcess.Limit.TotalMilliseconds, _sleep.Handle, peer.Handle);
                Assert.True(ready == 1, ready == 0 ? "a wake-up was lost" : "the peer died by itself");
            }

            _sleep.Awake();
            _sleep.TakeSignal();
        }

        /// <summary>One batch each way.</summary>
        public bool Move(ulong limit)
        {
            uint free = (uint)Math.Min(_out.Reserve(5), limit - Sent);
            for (uint i = 0; i < free; i++) _out[i] = Stamp.Make<Element64>(_firstStamp + Sent++);
            _out.Publish(free);
            uint ready = _in.Peek(3);
            for (uint i = 0; i < ready; i++) Assert.True(Stamp.Is(_in.Read(i), _firstStamp + Received++), $"element {Received - 1} of life {generation} is another one");
            _in.Release(ready);
            if (free + ready > 0) _wakePeer.Ring();
            return free + ready > 0;
        }
    }
}
