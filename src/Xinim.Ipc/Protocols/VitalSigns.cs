using Xinim.Ipc.Memory;

namespace Xinim.Ipc.Protocols;

/// <summary>
/// What a driver shows of itself without being asked: one page that it writes and its supervisor reads, made anew for every process, so that
/// no life can beat for another. The supervisor compares the count with the last one it saw and believes nothing else of it.
/// </summary>
public sealed class VitalSigns(SharedRegion region)
{
    /// <summary>Bytes of the region.</summary>
    public const int Bytes = 4096;

    private const int BeatsAt = 0;
    private uint _beats;

    /// <summary>Supervisor: makes the page.</summary>
    /// <exception cref="LinuxException">No memory.</exception>
    public static SharedRegion Create() => SharedRegion.Create("xinim-vital", Bytes, PageChoice.Ordinary);

    /// <summary>Supervisor: the driver's heartbeats so far, modulo 2³².</summary>
    public uint Beats => Volatile.Read(ref region.At<uint>(BeatsAt));

    /// <summary>Driver: its loop has come round. One store, no read of shared memory.</summary>
    public void Beat() => Volatile.Write(ref region.At<uint>(BeatsAt), ++_beats);
}
