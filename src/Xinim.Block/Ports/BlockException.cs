using Xinim.Ipc.Protocols;

namespace Xinim.Block.Ports;

/// <summary>The disk cannot be used. The message is one line for the user.</summary>
public class BlockException(string message) : Exception(message);

/// <summary>After a restart of its driver the device is another disk: nothing that its client holds may reach it.</summary>
public sealed class BlockDeviceChangedException(string message) : BlockException(message);

/// <summary>A request failed.</summary>
/// <param name="status">How.</param>
/// <param name="lba">The first block that is not done, or the request's first where the device does not say.</param>
public sealed class BlockIoException(string message, BlockStatus status, ulong lba) : BlockException(message)
{
    public BlockStatus Status => status;

    public ulong Lba => lba;
}
