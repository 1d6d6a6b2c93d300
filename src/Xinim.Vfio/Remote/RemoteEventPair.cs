using Microsoft.Win32.SafeHandles;
using Xinim.Ipc;
using Xinim.Ipc.Native;
using static Tmds.Linux.LibC;

namespace Xinim.Vfio.Remote;

/// <summary>
/// The two eventfds of an INTx line (hw/remote/iohub.c): the model adds to <see cref="Interrupt"/> when the line rises; something added to
/// <see cref="Resample"/> makes it look at the line again and add once more while it is still up.
/// </summary>
internal sealed class RemoteEventPair : IDisposable
{
    public SafeFileHandle Interrupt { get; } = Descriptor.CreateEvent();

    public SafeFileHandle Resample { get; } = Descriptor.CreateEvent();

    /// <summary>Makes the model look at the line again.</summary>
    public void AskAgain() => Descriptor.Signal(Resample);

    /// <summary>
    /// Takes what was signalled, if anything. Asks first: QEMU makes every descriptor that it receives blocking again
    /// (qio_channel_socket_copy_fds in io/channel-socket.c), for all who hold it.
    /// </summary>
    public void Clear()
    {
        if (Descriptor.Poll(0, Interrupt) != 0) _ = Descriptor.Drain(Interrupt);
    }

    /// <summary>Undoes that, for those who read <see cref="Interrupt"/> without asking. Only when the model has received the pair.</summary>
    public void MakeNonBlocking()
    {
        if (fcntl(Descriptor.Number(Interrupt), F_SETFL, O_NONBLOCK) < 0 || fcntl(Descriptor.Number(Resample), F_SETFL, O_NONBLOCK) < 0)
            throw LinuxException.Last("cannot make an eventfd non-blocking");
    }

    public void Dispose()
    {
        Interrupt.Dispose();
        Resample.Dispose();
    }
}
