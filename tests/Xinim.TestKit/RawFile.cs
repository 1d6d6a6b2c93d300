using Microsoft.Win32.SafeHandles;
using Tmds.Linux;

namespace Xinim.TestKit;

/// <summary>System calls made once, with the kernel's own answer. The runtime's RandomAccess.Write calls again for ever where nothing is taken.</summary>
public static class RawFile
{
    /// <summary>pwrite(2).</summary>
    /// <returns>Bytes written; -1 with errno on failure.</returns>
    public static unsafe long WriteAt(SafeFileHandle file, ReadOnlySpan<byte> bytes, ulong offset)
    {
        fixed (byte* from = bytes) return LibC.pwrite((int)file.DangerousGetHandle(), from, bytes.Length, (long)offset);
    }
}
