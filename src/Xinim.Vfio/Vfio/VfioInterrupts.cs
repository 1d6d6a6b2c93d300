using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using Xinim.Ipc;
using Xinim.Vfio.Native;

namespace Xinim.Vfio.Vfio;

/// <summary>
/// Interrupts of one kind, each vector an eventfd (VFIO_DEVICE_SET_IRQS; drivers/vfio/pci/vfio_pci_intrs.c). INTx is masked by the
/// kernel when it fires. MSI and MSI-X cannot be masked through VFIO; there, masking a vector takes its eventfd away.
/// </summary>
public sealed class VfioInterrupts : IDeviceInterrupts
{
    private const uint Trigger = VfioAbi.VFIO_IRQ_SET_ACTION_TRIGGER;
    private readonly VfioDevice _device;
    private readonly uint _index;
    private readonly SafeFileHandle[] _events;
    private readonly bool[] _masked;
    private bool _disposed;

    internal VfioInterrupts(VfioDevice device, InterruptKind kind, int vectors)
    {
        int offered = device.CountVectors(kind);
        if (vectors < 1 || vectors > offered)
            throw new ArgumentOutOfRangeException(nameof(vectors), vectors, $"{device.Name} offers {offered} vectors of {kind}");
        _device = device;
        _index = VfioDevice.IndexOf(kind);
        Kind = kind;
        _events = new SafeFileHandle[vectors];
        _masked = new bool[vectors];
        try
        {
            for (int i = 0; i < vectors; i++) _events[i] = CreateEvent();
            Assign(0, Array.ConvertAll(_events, handle => (int)handle.DangerousGetHandle()));
        }
        catch
        {
            CloseEvents();
            throw;
        }
    }

    public InterruptKind Kind { get; }

    public int Count => _events.Length;

    public SafeFileHandle EventOf(int vector) => _events[vector];

    public void Acknowledge(int vector)
    {
        Drain(vector);
        if (Kind == InterruptKind.Intx && !_masked[vector]) Act(VfioAbi.VFIO_IRQ_SET_ACTION_UNMASK, vector, "unmask");
    }

    /// <summary>Holds a vector back. An MSI message that arrives meanwhile may be lost, as the function has no place to remember it.</summary>
    public void Mask(int vector)
    {
        if (_masked[vector]) return;
        if (Kind == InterruptKind.Intx) Act(VfioAbi.VFIO_IRQ_SET_ACTION_MASK, vector, "mask");
        else Assign(vector, [-1]);
        _masked[vector] = true;
    }

    /// <summary>Lets a vector through again. For MSI and MSI-X its event is raised once, so that what came meanwhile is looked for and not lost.</summary>
    public void Unmask(int vector)
    {
        if (!_masked[vector]) return;
        _masked[vector] = false;
        if (Kind == InterruptKind.Intx)
        {
            Act(VfioAbi.VFIO_IRQ_SET_ACTION_UNMASK, vector, "unmask");
            return;
        }

        Assign(vector, [(int)_events[vector].DangerousGetHandle()]);
        Signal(vector);
    }

    /// <summary>Has the kernel raise a vector as if the device had (DATA_NONE with ACTION_TRIGGER): a test of the way up to the eventfd.</summary>
    public void Simulate(int vector) => Act(Trigger, vector, "trigger");

    /// <summary>The same for several vectors at once (DATA_BOOL).</summary>
    /// <param name="which">One entry a vector, from vector 0.</param>
    public void Simulate(ReadOnlySpan<bool> which)
    {
        if (_device.TrySetIrqs(_index, VfioAbi.VFIO_IRQ_SET_DATA_BOOL | Trigger, 0, which.Length, MemoryMarshal.AsBytes(which)) < 0)
            throw LinuxException.Last($"cannot trigger {which.Length} {Kind} vectors of {_device.Name}");
    }

    public void Dispose()
    {
        if (_disposed) return;
        _disposed = true;
        // A failure means that the owner has disabled them already, or that the device is gone.
        _ = _device.TrySetIrqs(_index, VfioAbi.VFIO_IRQ_SET_DATA_NONE | Trigger, 0, 0);
        CloseEvents();
    }

    internal static SafeFileHandle CreateEvent()
    {
        SafeFileHandle handle = NativeMethods.EventFd();
        return handle.IsInvalid ? throw LinuxException.Last("cannot create an eventfd; raise 'LimitNOFILE=' or 'ulimit -n'") : handle;
    }

    private void Assign(int vector, int[] events)
    {
        int result = _device.TrySetIrqs(
            _index, VfioAbi.VFIO_IRQ_SET_DATA_EVENTFD | Trigger, vector, events.Length, MemoryMarshal.AsBytes<int>(events));
        if (result == 0) return;
        // A positive result is how many vectors could be had (vfio_msi_enable).
        if (result > 0) throw new LinuxException($"{_device.Name}: of {events.Length} {Kind} vectors the machine has {result} left; ask for fewer");
        string remedy = Marshal.GetLastPInvokeError() switch
        {
            Errno.EINVAL => "; another kind is enabled, disable it first",
            Errno.EBUSY => "; the line is shared and the device cannot be masked (no PCI 2.3 support)",
            _ => "",
        };
        throw LinuxException.Last($"cannot enable {events.Length} {Kind} vectors of {_device.Name}{remedy}");
    }

    private void Act(uint action, int vector, string verb)
    {
        if (_device.TrySetIrqs(_index, VfioAbi.VFIO_IRQ_SET_DATA_NONE | action, vector, 1) < 0)
            throw LinuxException.Last($"cannot {verb} {Kind} vector {vector} of {_device.Name}");
    }

    private unsafe void Drain(int vector)
    {
        ulong count;
        // EAGAIN: nothing had fired, which is no error here.
        _ = NativeMethods.Read(_events[vector], &count, sizeof(ulong));
    }

    private unsafe void Signal(int vector)
    {
        ulong one = 1;
        if (NativeMethods.Write(_events[vector], &one, sizeof(ulong)) < 0) throw LinuxException.Last($"cannot signal vector {vector} of {_device.Name}");
    }

    private void CloseEvents()
    {
        foreach (SafeFileHandle? handle in _events) handle?.Dispose();
    }
}
