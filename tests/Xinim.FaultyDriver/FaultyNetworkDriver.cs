using Xinim.Drivers;
using Xinim.Drivers.Network;
using Xinim.Ipc.Protocols;
using Xinim.Ipc.Rings;

namespace Xinim.FaultyDriver;

/// <summary>A NIC's working driver that does on command what no driver should.</summary>
internal sealed class FaultyNetworkDriver : INetworkDriver
{
    private readonly Mischief _mischief;
    private readonly INetworkDriver _inner;
    private NetBuffer _lastFree;
    private NetBuffer _lastSubmitted;
    private bool _swallowed;

    /// <param name="make">Makes the one that works.</param>
    public FaultyNetworkDriver(DriverContext context, Func<DriverContext, INetworkDriver> make)
    {
        _mischief = new Mischief(context);
        _inner = make(context);
    }

    public bool TxBusy => _inner.TxBusy;

    public LinkState Link => _inner.Link;

    public NetworkStatistics Statistics => _inner.Statistics;

    public NetworkDeviceInfo Start() => _inner.Start();

    public void Attach(BufferTable buffers) => _inner.Attach(buffers);

    public void Detach() => _inner.Detach();

    public uint TxProvide(RingConsumer<NetBuffer> submitted)
    {
        if (_mischief.Withholds || submitted.Peek(1) == 0) return 0;
        _lastSubmitted = submitted.Read(0);
        if (_mischief.Command != Misdeed.FalseCompletion || _swallowed) return _inner.TxProvide(submitted);
        submitted.Release(1);
        _swallowed = true;
        return 1;
    }

    public uint TxReturn(RingProducer<NetBuffer> completed)
    {
        Misdeed command = _mischief.Command;
        bool forges = command == Misdeed.FalseCompletion ? _swallowed : command is >= Misdeed.UnknownCompletion and <= Misdeed.WildIndex;
        if (forges) return Forge(completed, command);
        return _mischief.Withholds ? 0 : _inner.TxReturn(completed);
    }

    public uint RxProvide(RingConsumer<NetBuffer> free)
    {
        if (_mischief.Withholds) return 0;
        if (free.Peek(1) != 0) _lastFree = free.Read(0);
        return _inner.RxProvide(free);
    }

    /// <summary>The first that the loop calls: commands are obeyed here.</summary>
    public uint RxReturn(RingProducer<NetBuffer> received)
    {
        Misdeed command = _mischief.Command;
        if (command is >= Misdeed.UnknownReceive and <= Misdeed.EndlessReceive) return Forge(received, command);
        _mischief.Obey();
        return _mischief.Withholds ? 0 : _inner.RxReturn(received);
    }

    public void ArmInterrupts() => _inner.ArmInterrupts();

    public void MaskInterrupts() => _inner.MaskInterrupts();

    public void OnInterrupt(int vector) => _inner.OnInterrupt(vector);

    public void OnTimer() => _inner.OnTimer();

    public void SetFilters(in NetworkFilters filters) => _inner.SetFilters(filters);

    public void StopReceiving() => _inner.StopReceiving();

    public void Stop() => _inner.Stop();

    public void Dispose() => _inner.Dispose();

    private uint Forge(RingProducer<NetBuffer> ring, Misdeed command)
    {
        if (ring.Reserve(2) < 2) return 0;
        _mischief.Done();
        NetBuffer buffer = command >= Misdeed.UnknownCompletion ? _lastSubmitted : _lastFree;
        uint count = 1;
        switch (command)
        {
            case Misdeed.UnknownReceive or Misdeed.UnknownCompletion: buffer.Cookie = 0x1234_5678_9abc; break;
            case Misdeed.DoubleReceive or Misdeed.DoubleCompletion: count = 2; break;
            case Misdeed.LongReceive: buffer.Length = 70_000; break;
            case Misdeed.EarlyReceive: buffer.Length = 64; break;
            case Misdeed.EndlessReceive: (buffer.Flags, count) = (NetFlags.More, ring.Reserve(ring.Capacity)); break;
            case Misdeed.FalseCompletion: _swallowed = false; break;
            case Misdeed.WildIndex: count = ring.Capacity * 3; break;
        }

        for (uint i = 0; i < Math.Min(count, ring.Capacity); i++) ring[i] = buffer;
        ring.Publish(count);
        return count;
    }
}
