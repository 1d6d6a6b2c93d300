using System.Buffers.Binary;

namespace Xinim.Drivers.Console.Virtio;

/// <summary>event of struct virtio_console_control [V §5.3.6.2].</summary>
internal enum ConsoleEvent : ushort
{
    DeviceReady = 0,
    DeviceAdd = 1,
    DeviceRemove = 2,
    PortReady = 3,
    ConsolePort = 4,
    Resize = 5,
    PortOpen = 6,
    PortName = 7,
}

/// <summary>struct virtio_console_control [V §5.3.6.2]. [V] = Virtual I/O Device (VIRTIO) Version 1.2.</summary>
internal readonly record struct VirtioConsoleMessage(uint Port, ConsoleEvent Event, ushort Value)
{
    public const int Bytes = 8;

    /// <summary>A port that is meant by none.</summary>
    public const uint NoPort = uint.MaxValue;

    public static VirtioConsoleMessage Read(ReadOnlySpan<byte> from) => new(
        BinaryPrimitives.ReadUInt32LittleEndian(from), (ConsoleEvent)BinaryPrimitives.ReadUInt16LittleEndian(from[4..]), BinaryPrimitives.ReadUInt16LittleEndian(from[6..]));

    public void Write(Span<byte> to)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(to, Port);
        BinaryPrimitives.WriteUInt16LittleEndian(to[4..], (ushort)Event);
        BinaryPrimitives.WriteUInt16LittleEndian(to[6..], Value);
    }
}
