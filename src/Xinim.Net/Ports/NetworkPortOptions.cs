namespace Xinim.Net.Ports;

/// <summary>How much memory a client holds for a NIC; with several pairs of queues, for each of them.</summary>
public sealed record NetworkPortOptions
{
    /// <summary>Buffers to send from, a power of two.</summary>
    public uint TxBuffers { get; init; } = 1024;

    /// <summary>Buffers to receive into, a power of two.</summary>
    public uint RxBuffers { get; init; } = 2048;

    /// <summary>Bytes a buffer; a frame that is longer takes several.</summary>
    public uint BufferBytes { get; init; } = 2048;

    /// <summary>
    /// Takes frames of several pieces, up to 65,553 bytes, as their sender left them where the device can give them so: with checksums that nobody made
    /// and segments that nobody cut (<see cref="NetworkPort.SegmentsOf"/>). Needs 64 receive buffers at least.
    /// </summary>
    public bool LargeReceive { get; init; }

    /// <summary>Takes frames with the hash of their addresses, where the device tells it (<see cref="NetworkPort.HashOf"/>). Not together with the former.</summary>
    public bool ReceiveHash { get; init; }

    /// <summary>A driver that sends none of the frames it was given for so long, with the link up, is reported and replaced.</summary>
    public TimeSpan StallLimit { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>For the daemon's answers; covers a driver that is just starting.</summary>
    public TimeSpan AnswerLimit { get; init; } = TimeSpan.FromSeconds(15);
}

/// <summary>The NIC cannot be used. The message is one line for the user.</summary>
public sealed class NetworkPortException(string message) : Exception(message);

/// <summary>How a received frame with <see cref="Ipc.Protocols.NetFlags.Segment"/> is to be cut.</summary>
/// <param name="Size">Payload bytes a segment.</param>
/// <param name="HeaderHint">Bytes of its headers as its sender said, which may be wrong; 0: not said.</param>
public readonly record struct FrameSegments(ushort Size, uint HeaderHint);

/// <summary>A device's hash of a received frame: Toeplitz over the addresses that <paramref name="Kind"/> says. Nothing but a hint: the device may be wrong.</summary>
public readonly record struct FrameHash(uint Value, Ipc.Protocols.HashKind Kind);

/// <summary>A piece of a received frame, held by the client until it is given back with <see cref="NetworkPort.Recycle"/>.</summary>
/// <param name="Slot">Which buffer.</param>
/// <param name="Length">Bytes.</param>
/// <param name="Flags">Results of the device; <see cref="Ipc.Protocols.NetFlags.More"/> where the frame goes on in the next piece.</param>
/// <param name="VlanTag">With <see cref="Ipc.Protocols.NetFlags.Vlan"/>.</param>
public readonly record struct ReceivedBuffer(uint Slot, uint Length, Ipc.Protocols.NetFlags Flags, ushort VlanTag);
