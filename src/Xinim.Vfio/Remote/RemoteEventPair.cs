using Microsoft.Win32.SafeHandles;
using Xinim.Ipc.Native;

namespace Xinim.Vfio.Remote;

/// <summary>
/// The two eventfds of an INTx line (hw/remote/iohub.c): the model adds to <see cref="Interrupt"/> when the line rises; something added to
/// <see cref="Resample"/> makes it look at the line again and add once more while it is still up. Neither blocks.
/// </summary>
internal sealed class RemoteEventPair : IDisposable
{
    public SafeFileHandle Interrupt { get; } = Descriptor.CreateEvent();

    public SafeFileHandle Resample { get; } = Descriptor.CreateEvent();

    /// <summary>Makes the model look at the line again.</summary>
    public void AskAgain() => Descriptor.Signal(Resample);

    public void Dispose()
    {
        Interrupt.Dispose();
        Resample.Dispose();
    }
}
