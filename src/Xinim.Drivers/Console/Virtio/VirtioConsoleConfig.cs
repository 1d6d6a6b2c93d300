using System.Buffers.Binary;
using Xinim.Drivers.Virtio;
using Xinim.Vfio;

namespace Xinim.Drivers.Console.Virtio;

/// <summary>struct virtio_console_config [V §5.3.4]. A field is touched only where its feature was agreed on.</summary>
internal sealed class VirtioConsoleConfig(VirtioDevice device)
{
    // Offsets [V §5.3.4].
    private const int SizeAt = 0, MaxPortsAt = 4, EmergencyAt = 8;

    /// <summary>Columns and rows of port 0; 0 where the device does not say.</summary>
    public (ushort Columns, ushort Rows) ReadSize()
    {
        if (!device.Has(VirtioConsoleFeatures.Size)) return default;
        Span<byte> bytes = stackalloc byte[4];
        device.Transport.ReadConfig(SizeAt, bytes, 2);
        return (BinaryPrimitives.ReadUInt16LittleEndian(bytes), BinaryPrimitives.ReadUInt16LittleEndian(bytes[2..]));
    }

    /// <summary>Ports that the device can have.</summary>
    /// <exception cref="DeviceFaultException">None, or more than queues can be numbered for.</exception>
    public uint ReadMaxPorts()
    {
        if (!device.Has(VirtioConsoleFeatures.Multiport)) return 1;
        Span<byte> bytes = stackalloc byte[4];
        device.Transport.ReadConfig(MaxPortsAt, bytes, 4);
        uint ports = BinaryPrimitives.ReadUInt32LittleEndian(bytes);
        if (ports is 0 or > (ushort.MaxValue / 2) - 1) throw new DeviceFaultException($"{device.Transport.Name}: max_nr_ports is {ports} [V §5.3.4]");
        return ports;
    }

    /// <summary>Writes a text without any queue, also while the device is half up [V §5.3.4]. Nothing where it cannot.</summary>
    public void WriteEmergency(string text)
    {
        if (!device.Has(VirtioConsoleFeatures.EmergencyWrite)) return;
        Span<byte> bytes = stackalloc byte[4];
        foreach (char sign in text)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(bytes, char.IsAscii(sign) ? sign : '?');
            device.Transport.WriteConfig(EmergencyAt, bytes);
        }
    }
}
