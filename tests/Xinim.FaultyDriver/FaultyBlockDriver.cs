using Xinim.Drivers;
using Xinim.Drivers.Block;
using Xinim.Ipc.Protocols;
using Xinim.Ipc.Rings;

namespace Xinim.FaultyDriver;

/// <summary>A disk's working driver that does on command what no driver should.</summary>
internal sealed class FaultyBlockDriver : IBlockDriver
{
    private readonly Mischief _mischief;
    private readonly IBlockDriver _inner;
    private BlockRequest _last;
    private bool _swallowed;

    /// <param name="make">Makes the one that works.</param>
    public FaultyBlockDriver(DriverContext context, Func<DriverContext, IBlockDriver> make)
    {
        _mischief = new Mischief(context);
        _inner = make(context);
    }

    public bool Busy => _inner.Busy;

    public BlockStatistics Statistics => _inner.Statistics;

    public BlockDeviceInfo Start() => _inner.Start();

    public void Attach(BufferTable buffers) => _inner.Attach(buffers);

    public void Detach() => _inner.Detach();

    /// <summary>The first that the loop calls: commands are obeyed here.</summary>
    public uint Submit(RingConsumer<BlockRequest> submitted)
    {
        _mischief.Obey();
        if (_mischief.Withholds) return 0;
        if (submitted.Peek(1) == 0) return _inner.Submit(submitted);
        BlockRequest next = submitted.Read(0);
        bool whole = (next.Flags & BlockFlags.More) == 0;
        if (whole) _last = next;
        if (_mischief.Command != Misdeed.FalseCompletion || _swallowed || !whole) return _inner.Submit(submitted);
        submitted.Release(1);
        _swallowed = true;
        return 1;
    }

    public uint Complete(RingProducer<BlockCompletion> completed)
    {
        Misdeed command = _mischief.Command;
        bool forges = command == Misdeed.FalseCompletion ? _swallowed : command is >= Misdeed.UnknownCompletion and <= Misdeed.WildIndex;
        if (forges) return Forge(completed, command);
        return _mischief.Withholds ? 0 : _inner.Complete(completed);
    }

    public bool TryTakeChange(out BlockDeviceInfo info) => _inner.TryTakeChange(out info);

    public void SetWriteCache(bool on) => _inner.SetWriteCache(on);

    public void ArmInterrupts() => _inner.ArmInterrupts();

    public void MaskInterrupts() => _inner.MaskInterrupts();

    public void OnInterrupt(int vector) => _inner.OnInterrupt(vector);

    public void OnTimer() => _inner.OnTimer();

    public void Stop() => _inner.Stop();

    public void Dispose() => _inner.Dispose();

    private uint Forge(RingProducer<BlockCompletion> ring, Misdeed command)
    {
        if (ring.Reserve(2) < 2) return 0;
        _mischief.Done();
        _swallowed = false;
        BlockCompletion completion = new(command == Misdeed.UnknownCompletion ? 0x1234_5678_9abc : _last.Cookie, BlockStatus.Ok);
        uint count = command switch { Misdeed.DoubleCompletion => 2, Misdeed.WildIndex => ring.Capacity * 3, _ => 1 };
        for (uint i = 0; i < Math.Min(count, ring.Capacity); i++) ring[i] = completion;
        ring.Publish(count);
        return count;
    }
}
