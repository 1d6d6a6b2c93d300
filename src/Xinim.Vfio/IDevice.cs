using Microsoft.Win32.SafeHandles;

namespace Xinim.Vfio;

/// <summary>A device as its driver sees it, on whatever bus. What the bus adds is in the interfaces that derive from this one.</summary>
public interface IDevice : IDisposable
{
    /// <summary>For messages: an address such as <c>0000:00:03.0</c>, <c>remote:e1000</c> or <c>vhost-user-net:/run/switch.sock</c>.</summary>
    string Name { get; }

    /// <summary>Interrupts that the device offers.</summary>
    InterruptSupport Interrupts { get; }

    /// <summary>Routes interrupts to event descriptors; they are enabled in the bus's terms, what the device raises is the driver's to program.</summary>
    /// <param name="kind">Must be offered.</param>
    /// <param name="vectors">1 for INTx, otherwise 1 to what is offered.</param>
    IDeviceInterrupts EnableInterrupts(InterruptKind kind, int vectors);
}

/// <summary>Interrupt mechanisms, the better the higher; a bus other than PCI uses the one that is like its own.</summary>
public enum InterruptKind
{
    None = 0,
    Intx = 1,
    Msi = 2,
    MsiX = 3,
}

/// <summary>What a device offers: INTx or not, and how many vectors of each other kind (0 for none).</summary>
public readonly record struct InterruptSupport(bool Intx, int Msi, int MsiX)
{
    /// <summary>The best kind that has <paramref name="vectors"/> vectors, MSI-X before MSI before INTx; None where nothing fits.</summary>
    public InterruptKind Best(int vectors) =>
        MsiX >= vectors ? InterruptKind.MsiX : Msi >= vectors ? InterruptKind.Msi : Intx && vectors <= 1 ? InterruptKind.Intx : InterruptKind.None;

    /// <summary>How many vectors of a kind the device has.</summary>
    public int Vectors(InterruptKind kind) => kind switch
    {
        InterruptKind.MsiX => MsiX,
        InterruptKind.Msi => Msi,
        InterruptKind.Intx => Intx ? 1 : 0,
        _ => 0,
    };
}

/// <summary>Enabled interrupts: one event descriptor a vector. Disposing disables them.</summary>
public interface IDeviceInterrupts : IDisposable
{
    InterruptKind Kind { get; }

    int Count { get; }

    /// <summary>A descriptor that becomes readable when the vector fires: to be waited for, and read by <see cref="Acknowledge"/> alone.</summary>
    SafeFileHandle EventOf(int vector);

    /// <summary>Reads the eventfd and lets the next interrupt through: VFIO masks INTx when it fires. Call after the device was served.</summary>
    void Acknowledge(int vector);

    /// <summary>Holds interrupts back.</summary>
    void Mask(int vector);

    /// <summary>Lets them through again.</summary>
    void Unmask(int vector);
}
