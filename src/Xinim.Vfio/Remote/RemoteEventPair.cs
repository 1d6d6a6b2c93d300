using Microsoft.Win32.SafeHandles;
using Xinim.Ipc;
using static Tmds.Linux.LibC;

namespace Xinim.Vfio.Remote;

/// <summary>
/// The two eventfds of an INTx line (hw/remote/iohub.c): the model adds to <see cref="Interrupt"/> when the line rises; something added to
/// <see cref="Resample"/> makes it look at the line again and add once more while it is still up. Neither blocks.
/// </summary>
internal sealed unsafe class RemoteEventPair : IDisposable
{
    public SafeFileHandle Interrupt { get; } = Create();

    public SafeFileHandle Resample { get; } = Create();

    /// <summary>Takes what was signalled; nothing to take is fine.</summary>
    public void Clear()
    {
        ulong count;
        _ = read((int)Interrupt.DangerousGetHandle(), &count, sizeof(ulong));
    }

    /// <summary>Makes the model look at the line again. A full counter is fine: the model has not looked yet.</summary>
    public void AskAgain()
    {
        ulong one = 1;
        _ = write((int)Resample.DangerousGetHandle(), &one, sizeof(ulong));
    }

    public void Dispose()
    {
        Interrupt.Dispose();
        Resample.Dispose();
    }

    private static SafeFileHandle Create()
    {
        int handle = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        return handle >= 0 ? new SafeFileHandle(handle, true) : throw LinuxException.Last("cannot make an eventfd for an interrupt");
    }
}
