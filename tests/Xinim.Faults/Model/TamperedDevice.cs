using Xinim.TestKit.E1000;
using Xinim.Vfio;
using Xinim.Vfio.Registers;

namespace Xinim.Faults.Model;

/// <summary>A model's PCI function with <see cref="TamperedRegisters"/> in front of its registers.</summary>
internal sealed class TamperedDevice(E1000Model model, TamperedRegisters registers) : IPciDevice
{
    public string Name => model.Device.Name;

    public IPciConfig Config => model.Device.Config;

    public InterruptSupport Interrupts => model.Device.Interrupts;

    public bool CanReset => model.Device.CanReset;

    public Mmio MapBar(int bar) => new(registers, bar, model.Device.MapBar(bar).Length);

    public void Reset() => model.Device.Reset();

    public IDeviceInterrupts EnableInterrupts(InterruptKind kind, int vectors) => model.Device.EnableInterrupts(kind, vectors);

    public void Dispose() => model.Device.Dispose();
}
