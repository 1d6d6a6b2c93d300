using Xinim.Vfio;
using Xinim.Vfio.Registers;

namespace Xinim.TestKit.Fakes;

/// <summary>A PCI function whose BARs are served by a model in the same process.</summary>
/// <param name="identity">Ids and class.</param>
/// <param name="registers">The model.</param>
/// <param name="bars">Bytes of each BAR that exists.</param>
/// <param name="interrupts">What is offered.</param>
public sealed class FakePciDevice(PciIdentity identity, RegisterChannel registers, IReadOnlyDictionary<int, uint> bars, InterruptSupport interrupts) : IPciDevice
{
    public string Name => $"fake:{identity}";

    /// <summary>Configuration space, with what a supervisor would do to it.</summary>
    public FakeConfig FakeConfig { get; } = new(identity);

    public IPciConfig Config => FakeConfig;

    public InterruptSupport Interrupts => interrupts;

    /// <summary>Called by <see cref="Reset"/>; null for a device without a reset method.</summary>
    public Action? ResetHandler { get; set; }

    public bool CanReset => ResetHandler is not null;

    /// <summary>The interrupts that were enabled last.</summary>
    public FakeInterrupts? Enabled { get; private set; }

    public bool Disposed { get; private set; }

    public Mmio MapBar(int bar) => bars.TryGetValue(bar, out uint length)
        ? new Mmio(registers, bar, length)
        : throw new DeviceFaultException($"{Name} has no BAR {bar}");

    public void Reset() => ResetHandler?.Invoke();

    public IDeviceInterrupts EnableInterrupts(InterruptKind kind, int vectors)
    {
        int offered = kind switch
        {
            InterruptKind.Intx => interrupts.Intx ? 1 : 0,
            InterruptKind.Msi => interrupts.Msi,
            InterruptKind.MsiX => interrupts.MsiX,
            _ => 0,
        };
        if (vectors < 1 || vectors > offered) throw new ArgumentException($"{Name} offers {offered} vectors of {kind}, {vectors} are wanted");
        return Enabled = new FakeInterrupts(kind, vectors);
    }

    public void Dispose() => Disposed = true;
}
