using Xinim.Ipc.Protocols;

namespace Xinim.Block.Ports;

/// <summary>What to do.</summary>
/// <param name="Token">The caller's own; comes back with the result.</param>
/// <param name="Lba">First logical block.</param>
/// <param name="Count">Logical blocks.</param>
public readonly record struct BlockIo(ulong Token, BlockOperation Operation, ulong Lba, uint Count, BlockFlags Flags = BlockFlags.None);

/// <summary>A piece of the port's memory.</summary>
/// <param name="Offset">Bytes from the start of the pool.</param>
/// <param name="Length">Bytes.</param>
public readonly record struct BlockPiece(uint Offset, uint Length);

/// <summary>What became of it.</summary>
/// <param name="FailedLba">The first block that failed; the request's first where the device does not say.</param>
/// <param name="Attempts">Drivers that died over it.</param>
public readonly record struct BlockResult(ulong Token, BlockStatus Status, ulong FailedLba, int Attempts);
