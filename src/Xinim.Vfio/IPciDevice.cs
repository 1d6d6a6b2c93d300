using Xinim.Vfio.Registers;

namespace Xinim.Vfio;

/// <summary>
/// A PCI function as its driver sees it. No driver knows which implementation it has: VFIO, a device model in another process (Remote),
/// or a model inside a test.
/// </summary>
public interface IPciDevice : IDevice
{
    /// <summary>Configuration space.</summary>
    IPciConfig Config { get; }

    /// <summary>True where <see cref="Reset"/> does something; many devices have only a reset register of their own.</summary>
    bool CanReset { get; }

    /// <summary>Opens a BAR. The result is valid until the device is disposed of.</summary>
    /// <exception cref="DeviceFaultException">The device has no such BAR.</exception>
    Mmio MapBar(int bar);

    /// <summary>Resets the function.</summary>
    void Reset();
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
