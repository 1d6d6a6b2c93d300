namespace Xinim.Faults.Model;

/// <summary>VIRTIO_CONSOLE_*: event of struct virtio_console_control [V §5.3.6.2]. [V] = Virtual I/O Device (VIRTIO) Version 1.2.</summary>
internal enum ConsoleWord : ushort
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
