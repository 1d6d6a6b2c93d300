using Xinim.TestKit.Fakes;
using Xinim.Vfio;
using Xinim.Vfio.Registers;

namespace Xinim.Faults.Model;

/// <summary>A model's PCI function with <see cref="TamperedRegisters"/> in front of its registers.</summary>
internal sealed class TamperedDevice(FakePciDevice inner, TamperedRegisters registers) : IPciDevice
{
    public string Name => inner.Name;

    public IPciConfig Config => inner.Config;

    public InterruptSupport Interrupts => inner.Interrupts;

    public bool CanReset => inner.CanReset;

    public Mmio MapBar(int bar) => new(registers, bar, inner.MapBar(bar).Length);

    public void Reset() => inner.Reset();

    public IDeviceInterrupts EnableInterrupts(InterruptKind kind, int vectors) => inner.EnableInterrupts(kind, vectors);

    public void Dispose() => inner.Dispose();
}
