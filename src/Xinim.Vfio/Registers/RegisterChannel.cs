namespace Xinim.Vfio.Registers;

/// <summary>Registers that are not memory of this process: a device model in another process (Remote), an I/O-port BAR, a model in a test.</summary>
public abstract class RegisterChannel
{
    /// <summary>Reads one register. Little-endian, zero-extended.</summary>
    /// <param name="bar">BAR index, 0–5.</param>
    /// <param name="offset">Bytes from the BAR's start, aligned to <paramref name="size"/>.</param>
    /// <param name="size">1, 2, 4 or 8 bytes.</param>
    public abstract ulong Read(int bar, uint offset, int size);

    /// <summary>Writes one register; returns when the device has it.</summary>
    public abstract void Write(int bar, uint offset, int size, ulong value);
}
