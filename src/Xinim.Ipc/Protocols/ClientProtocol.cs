using System.Runtime.InteropServices;

namespace Xinim.Ipc.Protocols;

/// <summary>Messages between the daemon and a client, over the daemon's socket. One connection holds at most one device.</summary>
public enum ClientMessage : uint
{
    /// <summary>→ daemon. Answer: Report with JSON.</summary>
    GetStatus = 1,

    /// <inheritdoc cref="GetStatus"/>
    Report = 2,

    /// <summary>→ daemon: <see cref="OpenNetworkMessage"/>. Answer: Opened or Refused.</summary>
    OpenNetwork = 3,

    /// <summary>
    /// ← daemon: <see cref="OpenedNetworkMessage"/>; handles: transmit pool, receive pool, rings, the client's doorbell, the driver's doorbell, the client's doorbells of further pairs of queues.
    /// </summary>
    Opened = 4,

    /// <summary>← daemon, unasked: the driver's next life is ready. Same payload; handle: the new rings. Everything outstanding is to be posted again.</summary>
    Reopened = 5,

    /// <summary>← daemon, unasked: <see cref="LinkState"/>.</summary>
    LinkChanged = 6,

    /// <summary>← daemon, unasked: the device is gone for good, with the reason.</summary>
    Closed = 7,

    /// <summary>→ daemon: <see cref="NetworkFilters"/>. Answer: Done or Refused.</summary>
    SetFilters = 8,

    /// <summary>→ daemon. Answer: Statistics with <see cref="NetworkStatistics"/> or <see cref="BlockStatistics"/>.</summary>
    GetStatistics = 9,

    /// <inheritdoc cref="GetStatistics"/>
    Statistics = 10,

    /// <summary>
    /// → daemon, without an answer: the driver of the header's generation returned nonsense, with what as text. It is replaced, and Reopened follows.
    /// </summary>
    ReportDriver = 11,

    /// <summary>
    /// → daemon, from root and the daemon's own user: verb, device and argument as text with a zero byte between. Verbs: start, stop,
    /// restart, update (argument: the executable), and for disks idle and standby. Answer: Done or Refused.
    /// </summary>
    Control = 12,

    /// <summary>→ daemon: the number (ulong) of the last event known, 0 for none. Answer: Events with JSON, as many as one message holds.</summary>
    GetEvents = 13,

    /// <inheritdoc cref="GetEvents"/>
    Events = 14,

    /// <summary>← daemon: as asked.</summary>
    Done = 16,

    /// <summary>← daemon: not done, with the reason as text.</summary>
    Refused = 17,

    /// <summary>
    /// → daemon: <see cref="OpenBlockMessage"/>. Answer: Refused, or Opened with <see cref="OpenedBlockMessage"/> and the handles: pool, rings, the client's
    /// doorbell, the driver's. Reopened follows with the same payload and the new rings.
    /// </summary>
    OpenBlock = 18,

    /// <summary>← daemon, unasked: <see cref="BlockDeviceInfo"/>; the disk's size or write cache is another one now.</summary>
    BlockChanged = 19,

    /// <summary>→ daemon: 1 (uint) for a write cache, 0 for none; stays over restarts of the driver. Answer: Done or Refused.</summary>
    SetWriteCache = 20,

    /// <summary>← daemon, unasked: the disk that the client held is another one now, with the reason as text; it is closed as by <see cref="Closed"/>.</summary>
    Replaced = 21,

    /// <summary>
    /// → daemon: <see cref="OpenConsoleMessage"/>. Answer: Refused, or Opened with <see cref="OpenedConsoleMessage"/> and the handles: rings, the client's
    /// doorbell, the driver's. Reopened follows with the same payload and the new rings.
    /// </summary>
    OpenConsole = 32,

    /// <summary>← daemon, unasked: <see cref="ConsolePortInfo"/> of the client's port.</summary>
    PortChanged = 33,
}

/// <summary>What a client wants to hold.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct OpenNetworkMessage
{
    /// <summary>Bytes that one client may ask for in both pools together.</summary>
    public const ulong MaxPoolBytes = 256 << 20;

    /// <summary>Name, address or number of the device.</summary>
    public FixedText Device;

    /// <summary>Bytes of memory to send from.</summary>
    public ulong TxPoolBytes;

    /// <summary>Bytes of memory to receive into.</summary>
    public ulong RxPoolBytes;

    /// <summary>Buffers on the transmit rings, a power of two.</summary>
    public uint TxCapacity;

    /// <summary>Buffers on the receive rings, a power of two.</summary>
    public uint RxCapacity;

    /// <summary>Pairs of queues, each with rings of that size and a doorbell of the client's: 1 to <see cref="NetworkRings.MaxPairs"/>, and no more than the device has.</summary>
    public uint Pairs;

    public NetworkWishes Wishes;
}

/// <summary>What a client got.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct OpenedNetworkMessage
{
    public RingShape Rings;
    public uint RingsBytes;
    public ulong TxPoolBytes;
    public ulong RxPoolBytes;

    /// <summary>Grant handle of the transmit pool, for <see cref="NetBuffer.Grant"/>.</summary>
    public uint TxGrant;

    /// <summary>Grant handle of the receive pool.</summary>
    public uint RxGrant;
    public NetworkDeviceInfo Info;
}

/// <summary>What a client of a disk wants to hold.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct OpenBlockMessage
{
    /// <summary>Bytes that one client may ask for.</summary>
    public const ulong MaxPoolBytes = 256 << 20;

    /// <summary>Name or address of the device; with a dot and the number of a controller's port.</summary>
    public FixedText Device;

    /// <summary>Bytes of memory to read into and to write from.</summary>
    public ulong PoolBytes;

    /// <summary>Elements of the submission ring, a power of two.</summary>
    public uint Submissions;

    /// <summary>Requests outstanding at a time, a power of two.</summary>
    public uint Completions;
}

/// <summary>What a client of a disk got.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct OpenedBlockMessage
{
    public RingShape Rings;
    public uint RingsBytes;
    public ulong PoolBytes;

    /// <summary>Grant handle of the pool, for <see cref="BlockSegment.Grant"/>.</summary>
    public uint Grant;
    public BlockDeviceInfo Info;
}
