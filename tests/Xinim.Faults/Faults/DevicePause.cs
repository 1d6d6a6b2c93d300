using System.Diagnostics;
using Xinim.Faults.Processes;
using Xinim.Faults.Targets;
using Xinim.Ipc.Processes;

namespace Xinim.Faults.Faults;

/// <summary>The device answers nothing for a moment: its model's process is stopped and goes on.</summary>
internal sealed class DevicePause : IFault
{
    private const int MaxMilliseconds = 40;

    public string Kind => "device-pause";

    public bool Lies => false;

    public bool Fits(DeviceTarget target) => target.ModelPid is not null;

    public string Inject(DeviceTarget target, Random random)
    {
        int milliseconds = random.Next(5, MaxMilliseconds);
        int model = target.ModelPid!.Value;
        if (!Signals.Send(model, PosixSignalNumber.Stop)) throw new IOException("the device model has ended");
        long start = Stopwatch.GetTimestamp();
        // Time passing is the fault: nothing else is waited for.
        target.Workload.Await(() => Stopwatch.GetElapsedTime(start).TotalMilliseconds >= milliseconds, TimeSpan.FromMilliseconds(milliseconds));
        Signals.Send(model, PosixSignalNumber.Continue);
        return $"{milliseconds} ms";
    }
}
