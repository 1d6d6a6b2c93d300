using Xinim.Faults.Processes;
using Xinim.Faults.Targets;
using Xinim.Ipc.Processes;

namespace Xinim.Faults.Faults;

/// <summary>A signal to the driver's process: it dies, or stops for good.</summary>
/// <param name="kind">Its name.</param>
/// <param name="signals">Numbers of signal(7), of which one is chosen.</param>
internal sealed class SignalFault(string kind, params int[] signals) : IFault
{
    public string Kind => kind;

    public bool Lies => false;

    // Half a second passes until a silent driver is noticed.
    public int Weight => signals is [(int)PosixSignalNumber.Stop] ? 1 : 4;

    public bool Fits(DeviceTarget target) => true;

    public string Inject(DeviceTarget target, Random random)
    {
        int signal = signals[random.Next(signals.Length)];
        return Signals.Send(target.DriverPid, signal) ? $"signal {signal}" : throw new IOException("the driver has ended");
    }
}
