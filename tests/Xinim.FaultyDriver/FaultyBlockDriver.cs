using Xinim.Drivers;
using Xinim.Drivers.Block;
using Xinim.Ipc.Protocols;

namespace Xinim.FaultyDriver;

/// <summary>The driver of a device that is one <see cref="FaultyBlockUnit"/>.</summary>
internal sealed class FaultyBlockDriver : FaultyBlockUnit, IBlockDriver
{
    private readonly IBlockDriver _inner;

    private FaultyBlockDriver(Mischief mischief, IBlockDriver inner)
        : base(mischief, inner) => _inner = inner;

    /// <param name="make">Makes the one that works.</param>
    public static FaultyBlockDriver Create(DriverContext context, Func<DriverContext, IBlockDriver> make)
    {
        Mischief mischief = new(context);
        return new FaultyBlockDriver(mischief, make(context));
    }

    public BlockDeviceInfo Start() => _inner.Start();

    public void ArmInterrupts() => _inner.ArmInterrupts();

    public void MaskInterrupts() => _inner.MaskInterrupts();

    public void OnInterrupt(int vector) => _inner.OnInterrupt(vector);

    public void OnTimer() => _inner.OnTimer();

    public void Stop() => _inner.Stop();

    public void Dispose() => _inner.Dispose();
}
