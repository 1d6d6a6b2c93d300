using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Xinim.Ipc.Protocols;

/// <summary>
/// Bytes on a console's rings, copied by both ends: consoles are slow, and a copy spares client and device memory that they share. Every byte
/// has its place in the port's stream, so that what comes a second time after a driver's death is known by it and dropped.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
public struct ConsoleChunk
{
    /// <summary>Bytes that one holds.</summary>
    public const int Room = 52;

    /// <summary>Of the first byte, from 0 when the client opened the port.</summary>
    public ulong Position;

    /// <summary>From 1 to <see cref="Room"/>.</summary>
    public uint Length;

    public ChunkData Data;

    [InlineArray(Room)]
    public struct ChunkData
    {
        private byte _first;
    }
}

/// <summary>What a console device's driver says of it when it is ready. Control path.</summary>
/// <param name="MaxPorts">Ports that there can be, those that the driver does not serve left out.</param>
/// <param name="Multiport">0 where there is one port that is always there.</param>
[StructLayout(LayoutKind.Sequential)]
public record struct ConsoleDeviceInfo(uint MaxPorts, uint Multiport)
{
    /// <summary>Ports that a driver serves at the most.</summary>
    public const uint MostPorts = 32;
}

/// <summary>A port as its device has it.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct ConsolePortInfo
{
    public uint Id;

    /// <summary>Counts how often the driver has seen the port come: a client of a former one has lost it.</summary>
    public uint Incarnation;
    public ConsolePortFlags Flags;

    /// <summary>Of the terminal on the other side; 0 where that is not known.</summary>
    public ushort Columns;

    /// <inheritdoc cref="Columns"/>
    public ushort Rows;

    /// <summary>Empty where the device gave it none.</summary>
    public FixedText Name;

    public readonly bool Has(ConsolePortFlags flag) => (Flags & flag) != 0;

    public readonly bool IsSameAs(in ConsolePortInfo other)
        => MemoryMarshal.AsBytes(new ReadOnlySpan<ConsolePortInfo>(in this)).SequenceEqual(MemoryMarshal.AsBytes(new ReadOnlySpan<ConsolePortInfo>(in other)));

    /// <summary>True where the port is meant: its name, or its number.</summary>
    public readonly bool IsCalled(string wanted) => wanted == Name.ToString() || (uint.TryParse(wanted, out uint number) && number == Id);

    public override readonly string ToString() => Name.ToString() is { Length: > 0 } name ? $"{Id} ({name})" : $"{Id}";
}

/// <summary>States of a port.</summary>
[Flags]
public enum ConsolePortFlags : uint
{
    None = 0,

    /// <summary>The device has it.</summary>
    Present = 1,

    /// <summary>Meant for a console.</summary>
    Console = 2,

    /// <summary>Somebody is connected on the other side; what is sent waits until then.</summary>
    HostOpen = 4,
}

/// <summary>Counters since the device was started.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct ConsoleStatistics
{
    public ulong RxBytes;
    public ulong TxBytes;

    /// <summary>Bytes that were received for a client that left before it read them.</summary>
    public ulong RxDropped;

    /// <summary>Messages of the device on its control queue.</summary>
    public ulong ControlMessages;

    /// <summary>Those of them that made no sense.</summary>
    public ulong ControlIgnored;
    public ulong Interrupts;
    public ulong Doorbells;
}

/// <summary>What a client wants to hold: one port.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct OpenConsoleMessage
{
    /// <summary>Name, address or number of the device.</summary>
    public FixedText Device;

    /// <summary>Name or number of the port; empty for the one that there is, or the first console.</summary>
    public FixedText Port;
}

/// <summary>What it got.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct OpenedConsoleMessage
{
    public RingShape Rings;
    public uint RingsBytes;
    public ConsolePortInfo Port;
}

/// <summary>A port gets a client. Handles: rings, the driver's doorbell, the client's.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct OpenPortMessage
{
    public uint Port;

    /// <summary>Of <see cref="ConsolePortInfo"/>; a port that has gone and come meanwhile is not opened.</summary>
    public uint Incarnation;

    /// <summary>The same for one client over all lives of drivers, never 0 and never another's.</summary>
    public ulong Session;
    public RingShape Rings;
    public uint RingsBytes;
}

/// <summary>The client of a port broke its rings and was given up.</summary>
[StructLayout(LayoutKind.Sequential)]
public record struct PortFaultMessage(uint Port, ulong Session);
