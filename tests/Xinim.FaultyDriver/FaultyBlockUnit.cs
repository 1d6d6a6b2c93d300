using Xinim.Drivers;
using Xinim.Drivers.Block;
using Xinim.Ipc.Protocols;
using Xinim.Ipc.Rings;

namespace Xinim.FaultyDriver;

/// <summary>A disk of a working driver that does on command what no driver should.</summary>
internal class FaultyBlockUnit(Mischief mischief, IBlockUnit inner) : IBlockUnit
{
    private BlockRequest _last;
    private bool _swallowed;

    public bool Busy => inner.Busy;

    public BlockStatistics Statistics => inner.Statistics;

    public void Attach(BufferTable buffers) => inner.Attach(buffers);

    public void Detach() => inner.Detach();

    /// <summary>The first that the loop calls: commands are obeyed here.</summary>
    public uint Submit(RingConsumer<BlockRequest> submitted)
    {
        mischief.Obey();
        if (mischief.Withholds) return 0;
        if (submitted.Peek(1) == 0) return inner.Submit(submitted);
        BlockRequest next = submitted.Read(0);
        bool whole = (next.Flags & BlockFlags.More) == 0;
        if (whole) _last = next;
        if (mischief.Command != Misdeed.FalseCompletion || _swallowed || !whole) return inner.Submit(submitted);
        submitted.Release(1);
        _swallowed = true;
        return 1;
    }

    public uint Complete(RingProducer<BlockCompletion> completed)
    {
        Misdeed command = mischief.Command;
        bool forges = command == Misdeed.FalseCompletion ? _swallowed : command is >= Misdeed.UnknownCompletion and <= Misdeed.WildIndex;
        if (forges) return Forge(completed, command);
        return mischief.Withholds ? 0 : inner.Complete(completed);
    }

    public bool TryTakeChange(out BlockDeviceInfo info) => inner.TryTakeChange(out info);

    public void SetWriteCache(bool on) => inner.SetWriteCache(on);

    private uint Forge(RingProducer<BlockCompletion> ring, Misdeed command)
    {
        if (ring.Reserve(2) < 2) return 0;
        mischief.Done();
        _swallowed = false;
        BlockCompletion completion = new(command == Misdeed.UnknownCompletion ? 0x1234_5678_9abc : _last.Cookie, BlockStatus.Ok);
        uint count = command switch { Misdeed.DoubleCompletion => 2, Misdeed.WildIndex => ring.Capacity * 3, _ => 1 };
        for (uint i = 0; i < Math.Min(count, ring.Capacity); i++) ring[i] = completion;
        ring.Publish(count);
        return count;
    }
}
