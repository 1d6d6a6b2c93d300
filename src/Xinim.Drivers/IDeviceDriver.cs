namespace Xinim.Drivers;

/// <summary>
/// What drivers of every class are: a table of handlers that the host library calls from one thread. A driver never sees a message, never
/// maps its client's memory and never waits on the data path.
/// </summary>
/// <remarks>A device that breaks its manual is reported by <see cref="Vfio.DeviceFaultException"/>, which ends the process.</remarks>
public interface IDriver : IDisposable
{
    /// <summary>Lets the device interrupt for whatever its driver waits for. Idempotent; the loop polls once more after it, before it sleeps.</summary>
    void ArmInterrupts();

    /// <summary>Holds the device's interrupts back until <see cref="ArmInterrupts"/>: the loop polls. One register write.</summary>
    void MaskInterrupts();

    /// <summary>A vector fired: reads and clears the cause, masks the device's interrupts until <see cref="ArmInterrupts"/>, notes changes of state.</summary>
    void OnInterrupt(int vector);

    /// <summary>Called about once a second: statistics before they wrap, state of devices without an interrupt for it, adaptive moderation, time limits.</summary>
    void OnTimer();

    /// <summary>Makes the device quiet: no DMA, no interrupts.</summary>
    void Stop();
}

/// <summary>What moves buffers of one client's between its rings and the device: a whole device, or one port of it.</summary>
public interface IClientSide
{
    /// <summary>From now on buffers are looked up here. Called before the first buffer of a client, never while buffers are outstanding.</summary>
    void Attach(BufferTable buffers);

    /// <summary>
    /// Stops the device's DMA and forgets every outstanding buffer, without returning it: when this returns, the device
    /// touches no memory of the client. The device is ready for <see cref="Attach"/>; its settings stay.
    /// </summary>
    void Detach();
}

/// <summary>A driver of a device that one client has at a time.</summary>
public interface IDeviceDriver : IDriver, IClientSide;
