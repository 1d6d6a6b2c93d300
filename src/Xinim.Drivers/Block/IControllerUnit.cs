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

    /// <summary>Has the disk do what an operator wants; one that rests wakes up by itself at the next request.</summary>
    /// <exception cref="ArgumentException">The disk cannot, or does not answer soon.</exception>
    void Run(BlockVerb verb);
}
