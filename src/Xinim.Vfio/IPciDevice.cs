using Microsoft.Win32.SafeHandles;
using Xinim.Vfio.Registers;

namespace Xinim.Vfio;

/// <summary>
/// A PCI function as its driver sees it. No driver knows which implementation it has: VFIO, a device model in another process (Remote),
/// or a model inside a test.
/// </summary>
public interface IPciDevice : IDisposable
{
    /// <summary>For messages: an address such as <c>0000:00:03.0</c>, or <c>remote:e1000</c>.</summary>
    string Name { get; }

    /// <summary>Configuration space.</summary>
    IPciConfig Config { get; }

    /// <summary>Interrupts that the device offers.</summary>
    InterruptSupport Interrupts { get; }

    /// <summary>True where <see cref="Reset"/> does something; many devices have only a reset register of their own.</summary>
    bool CanReset { get; }

    /// <summary>Opens a BAR. The result is valid until the device is disposed of.</summary>
    /// <exception cref="DeviceFaultException">The device has no such BAR.</exception>
    Mmio MapBar(int bar);

    /// <summary>Resets the function.</summary>
    void Reset();

    /// <summary>Routes interrupts to event descriptors; they are enabled in PCI terms, what the device raises is the driver's to program.</summary>
    /// <param name="kind">Must be offered.</param>
    /// <param name="vectors">1 for INTx, otherwise 1 to what is offered.</param>
    IPciInterrupts EnableInterrupts(InterruptKind kind, int vectors);
}

/// <summary>Accesses to PCI configuration space; offsets in bytes, aligned to the access.</summary>
public interface IPciConfig
{
    byte Read8(int offset);

    ushort Read16(int offset);

    uint Read32(int offset);

    void Write8(int offset, byte value);

    void Write16(int offset, ushort value);

    void Write32(int offset, uint value);
}

/// <summary>PCI interrupt mechanisms, the better the higher.</summary>
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
}

/// <summary>Enabled interrupts: one event descriptor a vector. Disposing disables them.</summary>
public interface IPciInterrupts : IDisposable
{
    InterruptKind Kind { get; }

    int Count { get; }

    /// <summary>An eventfd that becomes readable when the vector fires.</summary>
    SafeFileHandle EventOf(int vector);

    /// <summary>Reads the eventfd and lets the next interrupt through: VFIO masks INTx when it fires. Call after the device was served.</summary>
    void Acknowledge(int vector);

    /// <summary>Holds interrupts back.</summary>
    void Mask(int vector);

    /// <summary>Lets them through again.</summary>
    void Unmask(int vector);
}
