using Xinim.Ipc.Protocols;
using Xinim.Ipc.Rings;

namespace Xinim.Drivers.Block;

/// <summary>
/// One disk. The two verbs of the data path: <see cref="Submit"/> takes requests from the client's ring and hands them to the device,
/// <see cref="Complete"/> gives back what became of them, in any order. Neither makes a system call or allocates; each rings the device at
/// most once a call. <see cref="BlockIntake"/> reads and checks requests for every driver.
/// </summary>
/// <remarks>
/// Every request is answered exactly once: one that is malformed with a status, and one that the device never finishes by the end of the
/// process (<see cref="Vfio.DeviceFaultException"/>) after which the client gives it to the next driver.
/// </remarks>
public interface IBlockUnit : IClientSide
{
    /// <summary>Gives requests to the device as long as it has room. What is taken is with the device, or refused and waits for <see cref="Complete"/>.</summary>
    /// <returns>Requests taken from the ring, refused ones included.</returns>
    uint Submit(RingConsumer<BlockRequest> submitted);

    /// <summary>Gives finished and refused requests back, as many as the ring has room for.</summary>
    /// <returns>Elements put into the ring.</returns>
    uint Complete(RingProducer<BlockCompletion> completed);

    /// <summary>True while a request that was taken has not been given back.</summary>
    bool Busy { get; }

    /// <summary>Tells once of each change of size, geometry or write cache; the loop asks after interrupts and the timer, and reports it.</summary>
    /// <returns>False where nothing has changed since the last call.</returns>
    bool TryTakeChange(out BlockDeviceInfo info);

    /// <summary>Switches the volatile write cache. Requests may be outstanding.</summary>
    /// <exception cref="ArgumentException">The device cannot.</exception>
    void SetWriteCache(bool on);

    /// <summary>Counters since the driver's start.</summary>
    BlockStatistics Statistics { get; }
}
