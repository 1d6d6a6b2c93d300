using Xinim.Ipc.Protocols;

namespace Xinim.Drivers.Block;

/// <summary>A driver of a device that is one disk.</summary>
public interface IBlockDriver : IDeviceDriver, IBlockUnit
{
    /// <summary>Resets the device and brings it up, interrupts off, ready for requests.</summary>
    BlockDeviceInfo Start();
}
