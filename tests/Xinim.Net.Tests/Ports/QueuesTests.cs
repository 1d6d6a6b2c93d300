using Xinim.Ipc.Protocols;
using Xinim.Net.Ports;
using Xinim.TestKit.Net;

namespace Xinim.Net.Tests.Ports;

/// <summary>Several ports of one NIC, one a pair of its queues.</summary>
public sealed class QueuesTests : IDisposable
{
    private const int Queues = 3;
    private static readonly NetworkPortOptions s_small = new() { TxBuffers = 8, RxBuffers = 8, BufferBytes = 256 };
    private readonly FakeDaemon _daemon = new();
    private readonly IReadOnlyList<NetworkPort> _ports;
    private readonly ReceivedBuffer[] _into = new ReceivedBuffer[8];

    public QueuesTests() => _ports = NetworkPort.OpenQueues("net0", Queues, s_small, _daemon.Socket);

    public void Dispose()
    {
        foreach (NetworkPort port in _ports) port.Dispose();
        _daemon.Dispose();
    }

    [Fact]
    public void Each_sends_and_receives_on_rings_and_in_memory_of_its_own()
    {
        for (int i = 0; i < Queues; i++) Send(i, (byte)(10 + i));
        for (int i = 0; i < Queues; i++)
        {
            _daemon.Nics[i].Take();
            Assert.Equal([[(byte)(10 + i)]], _daemon.Nics[i].Frames);
            Assert.True(_daemon.Nics[i].Deliver([(byte)(20 + i)]));
        }

        for (int i = 0; i < Queues; i++)
        {
            Assert.Equal(1u, _ports[i].Receive(_into));
            Assert.Equal([(byte)(20 + i)], _ports[i].Data(_into[0]).ToArray());
            _daemon.Nics[i].Complete();
            Assert.Equal(1u, _ports[i].Collect());
        }

        uint[] offsets = [.. _daemon.Nics.SelectMany(nic => nic.Free).Select(buffer => buffer.Offset)];
        Assert.Equal(offsets.Length, offsets.Distinct().Count());
    }

    [Fact]
    public void All_of_them_outlive_the_driver_each_with_what_was_its_own()
    {
        for (int i = 0; i < Queues; i++) Send(i, (byte)i);
        _daemon.Kill();
        _daemon.Revive();
        foreach (NetworkPort port in _ports) WaitFor(port, () => port.Recoveries == 1);
        for (int i = 0; i < Queues; i++)
        {
            _daemon.Nics[i].Take();
            Assert.Equal([[(byte)i]], _daemon.Nics[i].Frames);
            Assert.Equal(8, _daemon.Nics[i].Free.Count);
            Assert.Equal(2u, _ports[i].Generation);
        }
    }

    [Fact]
    public void Sleepers_hear_what_another_thread_has_taken_from_the_connection()
    {
        Thread[] sleepers = [.. _ports.Select(port => new Thread(() => WaitFor(port, () => port.Recoveries == 20)))];
        foreach (Thread sleeper in sleepers) sleeper.Start();
        for (uint life = 1; life <= 20; life++)
        {
            _daemon.Kill();
            _daemon.Revive();
            Assert.True(SpinWait.SpinUntil(() => _ports.All(port => port.Recoveries == life), PortFixture.Limit), $"not all are in life {life}");
        }

        foreach (Thread sleeper in sleepers) Assert.True(sleeper.Join(PortFixture.Limit));
    }

    [Fact]
    public void The_end_of_the_device_is_told_to_each()
    {
        _daemon.CloseDevice("unplugged");
        foreach (NetworkPort port in _ports)
        {
            Assert.Contains("unplugged", Assert.Throws<NetworkPortException>(() => WaitFor(port, () => false)).Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void One_that_is_closed_leaves_the_others_alone()
    {
        _ports[0].Dispose();
        _ports[0].Dispose();
        Send(1, 7);
        _daemon.Nics[1].Take();
        Assert.Equal([[7]], _daemon.Nics[1].Frames);
        _ports[1].SetFilters(new NetworkFilters { MaxFrame = 200 });
        Assert.Equal(200u, _daemon.Filters!.Value.MaxFrame);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(9)]
    public void A_number_that_cannot_be_is_refused(int queues)
        => Assert.Contains("1 to 8", Assert.Throws<NetworkPortException>(() => NetworkPort.OpenQueues("net0", queues, s_small, _daemon.Socket)).Message, StringComparison.Ordinal);

    private void Send(int queue, byte value)
    {
        Assert.True(_ports[queue].TryRent(out uint slot));
        _ports[queue].TxMemory(slot)[0] = value;
        _ports[queue].Send(slot, 1);
        _ports[queue].Flush();
    }

    private static void WaitFor(NetworkPort port, Func<bool> condition)
    {
        long end = Environment.TickCount64 + (long)PortFixture.Limit.TotalMilliseconds;
        while (!condition())
        {
            Assert.True(Environment.TickCount64 < end, "nothing happened");
            port.Wait(TimeSpan.FromSeconds(5));
        }
    }
}
