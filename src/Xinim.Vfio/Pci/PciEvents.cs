using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Win32.SafeHandles;
using Tmds.Linux;
using Xinim.Ipc;
using Xinim.Ipc.Native;
using static Tmds.Linux.LibC;

namespace Xinim.Vfio.Pci;

/// <summary>What the kernel says of a PCI function.</summary>
/// <param name="Action"><c>add</c>, <c>remove</c>, <c>bind</c>, <c>unbind</c> or <c>change</c>.</param>
/// <param name="Driver">With <c>bind</c>: the driver.</param>
public sealed record PciEvent(string Action, PciAddress Address, string? Driver);

/// <summary>
/// The kernel's uevents of PCI functions (netlink(7), NETLINK_KOBJECT_UEVENT; lib/kobject_uevent.c): devices that appear, go, and change their
/// driver. Only the kernel itself is listened to. They reach the network namespace that the machine started with.
/// </summary>
public sealed unsafe class PciEvents : IDisposable
{
    private const int AF_NETLINK = 16;
    private const int NETLINK_KOBJECT_UEVENT = 15;
    private const uint KernelGroup = 1;

    /// <summary>UEVENT_BUFFER_SIZE of the kernel is 2048; a path stands before it.</summary>
    private const int BufferBytes = 8192;

    private PciEvents(SafeFileHandle handle) => Handle = handle;

    /// <summary>Readable when something happened.</summary>
    public SafeFileHandle Handle { get; }

    /// <exception cref="LinuxException">The kernel or a container does not allow it.</exception>
    public static PciEvents Open()
    {
        PciEvents events = new(Descriptor.Own(socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT), "cannot listen for devices that come and go"));
        NetlinkAddress address = new() { Family = AF_NETLINK, Groups = KernelGroup };
        if (bind(Descriptor.Number(events.Handle), (sockaddr*)&address, sizeof(NetlinkAddress)) == 0) return events;
        LinuxException failure = LinuxException.Last("cannot listen for devices that come and go");
        events.Dispose();
        throw failure;
    }

    /// <summary>Takes what has come; what is not about a PCI function, or not from the kernel, is passed over.</summary>
    /// <param name="events">Empty where there was nothing.</param>
    /// <returns>False where events were lost because nobody took them in time: then look at every device.</returns>
    public bool TryRead(List<PciEvent> events)
    {
        bool complete = true;
        byte* buffer = stackalloc byte[BufferBytes];
        while (true)
        {
            NetlinkAddress sender = default;
            iovec part = new() { iov_base = buffer, iov_len = BufferBytes };
            msghdr message = new() { msg_name = &sender, msg_namelen = (uint)sizeof(NetlinkAddress), msg_iov = &part, msg_iovlen = 1 };
            long length = (long)recvmsg(Descriptor.Number(Handle), &message, MSG_DONTWAIT);
            if (length < 0)
            {
                int error = Marshal.GetLastPInvokeError();
                if (error == EINTR) continue;
                if (error != ENOBUFS) return complete;
                complete = false;
                continue;
            }

            bool fromKernel = sender.Port == 0 && (message.msg_flags & MSG_TRUNC) == 0;
            if (fromKernel && Parse(Encoding.UTF8.GetString(buffer, (int)length)) is { } parsed) events.Add(parsed);
        }
    }

    public void Dispose() => Handle.Dispose();

    /// <summary>Reads one message: <c>ACTION@PATH</c> and <c>KEY=VALUE</c>, each with a zero byte behind it.</summary>
    /// <returns>Null where it is not about a PCI function.</returns>
    internal static PciEvent? Parse(string message)
    {
        Dictionary<string, string> values = [];
        foreach (string line in message.Split('\0').Skip(1))
        {
            int sign = line.IndexOf('=', StringComparison.Ordinal);
            if (sign > 0) values[line[..sign]] = line[(sign + 1)..];
        }

        bool isPci = values.GetValueOrDefault("SUBSYSTEM") == "pci";
        return isPci && values.TryGetValue("ACTION", out string? action) && PciAddress.TryParse(values.GetValueOrDefault("PCI_SLOT_NAME", ""), out PciAddress address)
            ? new PciEvent(action, address, values.GetValueOrDefault("DRIVER"))
            : null;
    }

    /// <summary>struct sockaddr_nl (linux/netlink.h).</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct NetlinkAddress
    {
        public ushort Family;
        public ushort Pad;
        public uint Port;
        public uint Groups;
    }
}
