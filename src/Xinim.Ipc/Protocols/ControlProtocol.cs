using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using Xinim.Ipc.Memory;

namespace Xinim.Ipc.Protocols;

/// <summary>
/// Messages between supervisor and driver. The supervisor asks, the driver answers with <see cref="Done"/> or <see cref="Refused"/> and the
/// same request number, or with the answer named; what the driver sends unasked has request 0. What is said "of a unit" has that unit in the
/// header: a port of a controller, by its place in Ready; everything else is one unit.
/// </summary>
public enum ControlMessage : uint
{
    /// <summary>→ driver: <see cref="StartMessage"/>; handles: work region, <see cref="VitalSigns"/>, then the device's. Answer: Ready.</summary>
    Start = 1,

    /// <summary>← driver: by the class of its manifest <see cref="NetworkDeviceInfo"/>, <see cref="ConsoleDeviceInfo"/>, or a <see cref="BlockUnitInfo"/> for each unit.</summary>
    Ready = 2,

    /// <summary>→ driver, of a unit: <see cref="AttachMessage"/>; handles: rings, the driver's doorbell, the client's doorbell, with several pairs of queues one for each. Answer: Done.</summary>
    Attach = 3,

    /// <summary>→ driver, of a unit: gives up the client's buffers; after Done the device touches them no more.</summary>
    Detach = 4,

    /// <summary>→ driver: <see cref="NetworkFilters"/>. Answer: Done or Refused.</summary>
    SetFilters = 5,

    /// <summary>→ driver. Answer: Statistics with <see cref="NetworkStatistics"/>, <see cref="ConsoleStatistics"/>, or a <see cref="BlockStatistics"/> for each unit.</summary>
    GetStatistics = 6,

    /// <inheritdoc cref="GetStatistics"/>
    Statistics = 7,

    /// <summary>→ driver: are you there? Answer: Done.</summary>
    Ping = 8,

    /// <summary>→ driver: make the device quiet and end. Answer: Done, then the end of the process.</summary>
    Stop = 9,

    /// <summary>
    /// → driver: take nothing more from the client, send what was taken, deliver what was received, then answer Done: of what the client
    /// posted, everything is either given back or was never touched. Stop follows.
    /// </summary>
    Quiesce = 10,

    /// <summary>→ driver of disks, of a unit: 1 (uint) for a write cache, 0 for none. Answer: Done or Refused.</summary>
    SetWriteCache = 11,

    /// <summary>→ driver of disks, of a unit: <see cref="BlockVerb"/>. Answer: Done or Refused.</summary>
    RunVerb = 12,

    /// <summary>← driver: as asked.</summary>
    Done = 16,

    /// <summary>← driver: not done, with the reason as text; nothing changed.</summary>
    Refused = 17,

    /// <summary>← driver, unasked: <see cref="LinkState"/>.</summary>
    LinkChanged = 18,

    /// <summary>← driver, unasked: one line for the log.</summary>
    Log = 19,

    /// <summary>← driver, unasked: why it is about to end.</summary>
    Fault = 20,

    /// <summary>← driver, unasked, of a unit: the client broke the ring protocol, with the reason; its buffers were given up.</summary>
    ClientFault = 21,

    /// <summary>← driver, unasked and first of all, generation 0: the names of the drivers that it has, between blanks.</summary>
    Hello = 22,

    /// <summary>← driver of disks, unasked, of a unit: <see cref="BlockDeviceInfo"/>; size or write cache is another one now, or the disk came, went or is another one.</summary>
    BlockChanged = 23,

    /// <summary>← driver of disks, unasked, of a unit: <see cref="BlockHealth"/>, as just read.</summary>
    HealthRead = 24,

    /// <summary>→ driver of a console device: <see cref="OpenPortMessage"/>. Answer: Done or Refused.</summary>
    OpenPort = 32,

    /// <summary>→ driver of a console device: the number of a port (uint), whose client is gone. Answer: Done.</summary>
    ClosePort = 33,

    /// <summary>← driver of a console device, unasked: <see cref="ConsolePortInfo"/>.</summary>
    PortChanged = 34,

    /// <summary>← driver of a console device, unasked: <see cref="PortFaultMessage"/>.</summary>
    PortFault = 35,
}

/// <summary>What a driver is started with.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct StartMessage
{
    /// <summary>Which bus implementation the device handles are for.</summary>
    public uint Backend;

    /// <summary>Device handles that follow those of the work region and the vital signs.</summary>
    public uint DeviceHandles;

    /// <summary>The driver's own memory for descriptors.</summary>
    public RegionMessage Work;

    /// <summary>Busy-poll instead of sleeping.</summary>
    public uint Poll;

    /// <summary>Milliseconds between two heartbeats at the most.</summary>
    public uint HeartbeatPeriod;

    /// <summary>The device's name, for messages.</summary>
    public FixedText Device;

    /// <summary>Which driver of the executable.</summary>
    public FixedText Driver;

    /// <summary>The driver's own settings.</summary>
    public OptionText Options;

    /// <summary>What a NIC's client was granted by former drivers: in the device before Ready. All zero: nothing.</summary>
    public NetworkFilters Filters;
}

/// <summary>A region that is mapped for the device.</summary>
[StructLayout(LayoutKind.Sequential)]
public record struct RegionMessage(uint Id, RegionAccess DeviceAccess, ulong Iova, ulong Size);

/// <summary>A client's memory and rings.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct AttachMessage
{
    public const int MaxRegions = 4;

    public RingShape Rings;

    /// <summary>Bytes of the rings' region.</summary>
    public uint RingsBytes;

    /// <summary>Valid entries of <see cref="Regions"/> and of <see cref="Grants"/>.</summary>
    public uint Count;

    /// <summary>Of a NIC's client.</summary>
    public NetworkWishes Wishes;
    public RegionList Regions;
    public GrantList Grants;

    [InlineArray(MaxRegions)]
    public struct RegionList
    {
        private RegionMessage _first;
    }

    [InlineArray(MaxRegions)]
    public struct GrantList
    {
        private Grant _first;
    }
}

/// <summary>A short text inside a struct: UTF-8, padded with zeros.</summary>
[InlineArray(Bytes)]
public struct FixedText
{
    public const int Bytes = 64;

    private byte _first;

    /// <exception cref="ArgumentException">Longer than 64 bytes.</exception>
    public static FixedText From(string text)
    {
        FixedText fixedText = default;
        if (!Encoding.UTF8.TryGetBytes(text, fixedText, out _)) throw new ArgumentException($"'{text}' has more than {Bytes} bytes", nameof(text));
        return fixedText;
    }

    /// <summary>As much of a text as fits, with a mark where some is missing: for names that are only read by people.</summary>
    public static FixedText Abbreviate(string text)
    {
        const string mark = "…";
        if (Encoding.UTF8.GetByteCount(text) <= Bytes) return From(text);
        int kept = text.Length;
        while (Encoding.UTF8.GetByteCount(text.AsSpan(0, kept)) > Bytes - Encoding.UTF8.GetByteCount(mark)) kept--;
        return From(text[..kept] + mark);
    }

    public override readonly string ToString()
    {
        ReadOnlySpan<byte> bytes = this;
        int end = bytes.IndexOf((byte)0);
        return Encoding.UTF8.GetString(end < 0 ? bytes : bytes[..end]);
    }
}
