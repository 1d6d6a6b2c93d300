using System.Runtime.InteropServices;

namespace Xinim.Vfio.Remote;

/// <summary>
/// Messages of QEMU's multi-process protocol, as version 7.2 sends and checks them: include/hw/remote/mpqemu-link.h (layout),
/// hw/remote/mpqemu-link.c (framing, <c>mpqemu_msg_valid</c>), hw/remote/message.c (replies). The structures are those of the
/// C ABI on x86-64: little-endian, naturally aligned.
/// </summary>
internal static class RemoteProtocol
{
    /// <summary>Bytes of <see cref="Header"/>.</summary>
    public const int HeaderSize = 16;

    /// <summary>Bytes of the largest reply: a header and one 64-bit value.</summary>
    public const int LongestReply = HeaderSize + sizeof(ulong);

    /// <summary>Length of the arrays in <see cref="MemoryTable"/> (REMOTE_MAX_FDS).</summary>
    public const int TableLength = 8;

    /// <summary>
    /// Regions that one SYNC_SYSMEM can carry. QEMU refuses a message with as many descriptors as its array is long
    /// (<c>msg-&gt;num_fds &gt;= REMOTE_MAX_FDS</c> in mpqemu-link.c), and ends.
    /// </summary>
    public const int MaxRegions = TableLength - 1;

    /// <summary>Bytes of conventional configuration space.</summary>
    public const int ConventionalConfigSize = 256;

    /// <summary>Bytes of the configuration space of a function with a PCI Express capability.</summary>
    public const int ExpressConfigSize = 4096;

    /// <summary>Before every message, in both directions.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct Header
    {
        public RemoteCommand Command;
        public int Padding;
        public ulong Size;
    }

    /// <summary>Payload of PCI_CFGREAD and PCI_CFGWRITE (PciConfDataMsg).</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct ConfigAccess
    {
        public uint Offset;
        public uint Value;
        public int Length;
    }

    /// <summary>Payload of BAR_READ and BAR_WRITE (BarAccessMsg); the address is the BAR's base plus the offset.</summary>
    [StructLayout(LayoutKind.Sequential, Size = 24)]
    public struct BarAccess
    {
        public ulong Address;
        public ulong Value;
        public uint Size;
        public byte IsMemory;
    }

    /// <summary>Payload of SYNC_SYSMEM (SyncSysmemMsg): the first n entries belong to the n descriptors that ride along.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public unsafe struct MemoryTable
    {
        public fixed ulong Addresses[TableLength];
        public fixed ulong Sizes[TableLength];
        public fixed long Offsets[TableLength];
    }
}

/// <summary>MPQemuCmd of include/hw/remote/mpqemu-link.h.</summary>
internal enum RemoteCommand
{
    SyncSysmem = 0,
    Ret = 1,
    PciConfigWrite = 2,
    PciConfigRead = 3,
    BarWrite = 4,
    BarRead = 5,
    SetIrqFd = 6,
    DeviceReset = 7,
}
