using Xinim.Ipc.Protocols;

namespace Xinim.Drivers.Block;

/// <summary>One port of a controller.</summary>
public interface IControllerUnit : IBlockUnit
{
    /// <summary>The port's number on the controller.</summary>
    uint Number { get; }

    /// <summary>As last found. Of a port without a usable disk only <see cref="BlockFeatures.Absent"/> is set.</summary>
    BlockDeviceInfo Info { get; }

    /// <summary>As last read, which the driver does by itself now and then; all zero before, and where the disk does not tell.</summary>
    BlockHealth Health { get; }

    /// <summary>Asks the disk to change to a power mode; it wakes up by itself at the next request.</summary>
    /// <exception cref="ArgumentException">The disk has no such mode.</exception>
    void SetPower(BlockPower mode);
}
