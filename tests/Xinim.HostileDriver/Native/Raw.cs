using System.Runtime.InteropServices;

namespace Xinim.HostileDriver.Native;

/// <summary>System calls by number: an attacker asks no library.</summary>
internal static unsafe partial class Raw
{
    [LibraryImport("libc.so.6", EntryPoint = "syscall", SetLastError = true)]
    private static partial long Syscall(long number, long first, long second, long third, long fourth, long fifth, long sixth);

    /// <returns>The result, or minus the error's number.</returns>
    public static long Call(long number, long first = 0, long second = 0, long third = 0, long fourth = 0, long fifth = 0, long sixth = 0)
    {
        long result = Syscall(number, first, second, third, fourth, fifth, sixth);
        return result == -1 ? -Marshal.GetLastPInvokeError() : result;
    }

    /// <summary>A call with a path, or another text, as one of its arguments.</summary>
    public static long Call(long number, string text, Func<long, long[]> arguments)
    {
        byte* bytes = (byte*)Marshal.StringToCoTaskMemUTF8(text);
        long[] all = [.. arguments((long)bytes), 0, 0, 0, 0, 0];
        long result = Call(number, all[0], all[1], all[2], all[3], all[4]);
        Marshal.FreeCoTaskMem((nint)bytes);
        return result;
    }
}
