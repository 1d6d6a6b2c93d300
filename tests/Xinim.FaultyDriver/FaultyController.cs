using Xinim.Drivers;
using Xinim.Drivers.Block;
using Xinim.Ipc.Protocols;

namespace Xinim.FaultyDriver;

/// <summary>The driver of a controller whose disks are <see cref="FaultyBlockUnit"/>s.</summary>
internal sealed class FaultyController : IBlockController
{
    private readonly Mischief _mischief;
    private readonly IBlockController _inner;

    /// <param name="make">Makes the one that works.</param>
    public FaultyController(DriverContext context, Func<DriverContext, IBlockController> make)
    {
        _mischief = new Mischief(context);
        _inner = make(context);
    }

    public IReadOnlyList<IControllerUnit> Start() => [.. _inner.Start().Select(unit => new Unit(_mischief, unit))];

    public void ArmInterrupts() => _inner.ArmInterrupts();

    public void MaskInterrupts() => _inner.MaskInterrupts();

    public void OnInterrupt(int vector) => _inner.OnInterrupt(vector);

    public void OnTimer() => _inner.OnTimer();

    public void Stop() => _inner.Stop();

    public void Dispose() => _inner.Dispose();

    private sealed class Unit(Mischief mischief, IControllerUnit inner) : FaultyBlockUnit(mischief, inner), IControllerUnit
    {
        private readonly IControllerUnit _inner = inner;

        public uint Number => _inner.Number;

        public BlockDeviceInfo Info => _inner.Info;

        public BlockHealth Health => _inner.Health;

        public void Run(BlockVerb verb) => _inner.Run(verb);
    }
}
