using System.Runtime.InteropServices;

namespace Xinim.Supervisor.Devices;

/// <summary>A class's struct as the bytes of a message. Control path only.</summary>
internal static class Payload
{
    public static byte[] Of<T>(in T value)
        where T : unmanaged
        => MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in value)).ToArray();
}
