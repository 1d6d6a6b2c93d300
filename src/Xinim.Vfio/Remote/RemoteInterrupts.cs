using Microsoft.Win32.SafeHandles;
using Xinim.Vfio.Pci;

namespace Xinim.Vfio.Remote;

/// <summary>
/// INTx of a device model. The line is a level: the model signals when it rises and, after each <see cref="Acknowledge"/>, as long as it is
/// up (hw/remote/iohub.c, intr_resample_handler). Masking is the Interrupt Disable bit of the PCI command register (PCI 3.0 §6.2.2):
/// the model holds the line down meanwhile and raises it on unmasking if the device still asks, so nothing is lost.
/// </summary>
internal sealed class RemoteInterrupts : IDeviceInterrupts
{
    private readonly IPciConfig _config;
    private readonly RemoteEventPair _events = new();
    private bool _disposed;

    public RemoteInterrupts(RemoteLink link, IPciConfig config)
    {
        _config = config;
        try
        {
            link.SetIrqFds(_events.Interrupt, _events.Resample);
            // Answered, so the model has received the eventfds when it returns.
            SetDisabled(false);
            _events.MakeNonBlocking();
            // The model signals a rising line only: one that is up since before these eventfds were known would stay silent.
            _events.AskAgain();
        }
        catch
        {
            _events.Dispose();
            throw;
        }
    }

    public InterruptKind Kind => InterruptKind.Intx;

    public int Count => 1;

    public SafeFileHandle EventOf(int vector)
    {
        Check(vector);
        return _events.Interrupt;
    }

    public void Acknowledge(int vector)
    {
        Check(vector);
        // In this order: the answer to the question must not be taken away unseen.
        _events.Clear();
        _events.AskAgain();
    }

    public void Mask(int vector)
    {
        Check(vector);
        SetDisabled(true);
    }

    public void Unmask(int vector)
    {
        Check(vector);
        SetDisabled(false);
    }

    /// <summary>Disables INTx. A model that is gone or does not answer raises nothing any more either, so that is no error here.</summary>
    public void Dispose()
    {
        if (_disposed) return;
        _disposed = true;
        try
        {
            SetDisabled(true);
        }
        catch (Exception error) when (error is DeviceFaultException or ObjectDisposedException)
        {
        }
        _events.Dispose();
    }

    private static void Check(int vector) => ArgumentOutOfRangeException.ThrowIfNotEqual(vector, 0);

    private void SetDisabled(bool disabled)
    {
        ushort command = _config.Read16(PciConfigSpace.Command);
        ushort wanted = (ushort)(disabled ? command | PciConfigSpace.CommandInterruptDisable : command & ~PciConfigSpace.CommandInterruptDisable);
        if (wanted != command) _config.Write16(PciConfigSpace.Command, wanted);
    }
}
