namespace Xinim.Net.Ports;

/// <summary>How much memory a client holds for a NIC.</summary>
public sealed record NetworkPortOptions
{
    /// <summary>Buffers to send from, a power of two.</summary>
    public uint TxBuffers { get; init; } = 1024;

    /// <summary>Buffers to receive into, a power of two.</summary>
    public uint RxBuffers { get; init; } = 2048;

    /// <summary>Bytes a buffer; a frame that is longer takes several.</summary>
    public uint BufferBytes { get; init; } = 2048;

    /// <summary>A driver that sends none of the frames it was given for so long, with the link up, is reported and replaced.</summary>
    public TimeSpan StallLimit { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>For the daemon's answers; covers a driver that is just starting.</summary>
    public TimeSpan AnswerLimit { get; init; } = TimeSpan.FromSeconds(15);
}

/// <summary>The NIC cannot be used. The message is one line for the user.</summary>
public sealed class NetworkPortException(string message) : Exception(message);

/// <summary>A piece of a received frame, held by the client until it is given back with <see cref="NetworkPort.Recycle"/>.</summary>
/// <param name="Slot">Which buffer.</param>
/// <param name="Length">Bytes.</param>
/// <param name="Flags">Results of the device; <see cref="Ipc.Protocols.NetFlags.More"/> where the frame goes on in the next piece.</param>
/// <param name="VlanTag">With <see cref="Ipc.Protocols.NetFlags.Vlan"/>.</param>
public readonly record struct ReceivedBuffer(uint Slot, uint Length, Ipc.Protocols.NetFlags Flags, ushort VlanTag);
