using Xinim.Faults.Traffic;

namespace Xinim.Faults.Model;

/// <summary>A driver's code on a device model in this process, with checked traffic.</summary>
internal interface IModelBench : IDisposable
{
    /// <summary>From the client.</summary>
    StreamCounts Sent { get; }

    /// <summary>To the client.</summary>
    StreamCounts Received { get; }

    /// <summary>What no driver may do, whatever its device does; null so far.</summary>
    string? Breach { get; }

    /// <exception cref="Vfio.DeviceFaultException">The driver does not like its device.</exception>
    void Start();

    /// <summary>Traffic both ways, without the driver looking.</summary>
    void Arrive();

    /// <summary>One turn of the host's loop, and the client's.</summary>
    /// <exception cref="Vfio.DeviceFaultException">The driver has found its device broken.</exception>
    void Turn();

    /// <summary>A second has passed.</summary>
    void OnTimer();

    /// <summary>The device obeys its manual again.</summary>
    void Relent();

    /// <summary>The next driver takes over what this one left in the device's memory, and serves; nothing where drivers leave nothing to each other.</summary>
    /// <exception cref="Vfio.DeviceFaultException">It blames a good device.</exception>
    void Succeed();
}
