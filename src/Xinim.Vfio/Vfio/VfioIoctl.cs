using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using Xinim.Ipc;
using Xinim.Vfio.Native;

namespace Xinim.Vfio.Vfio;

/// <summary>The ioctl forms that VFIO uses. What fails throws with the object's name and the errno.</summary>
internal static unsafe class VfioIoctl
{
    /// <summary>A request whose argument is a number.</summary>
    /// <returns>What the kernel returned, not negative.</returns>
    public static int Number(SafeFileHandle file, uint request, nint argument, string failure)
    {
        int result = NativeMethods.Ioctl(file, request, argument);
        return result >= 0 ? result : throw LinuxException.Last(failure);
    }

    /// <summary>A request with a structure, in and out.</summary>
    public static int Structure<T>(SafeFileHandle file, uint request, ref T argument, string failure)
        where T : unmanaged
    {
        fixed (T* pointer = &argument)
        {
            int result = NativeMethods.Ioctl(file, request, pointer);
            return result >= 0 ? result : throw LinuxException.Last(failure);
        }
    }

    /// <summary>
    /// An information request. The kernel says in argsz how many bytes its capabilities need; then it is asked again with that many.
    /// </summary>
    /// <returns>The whole answer: the structure, then the capabilities.</returns>
    public static byte[] Information<T>(SafeFileHandle file, uint request, T question, string failure)
        where T : unmanaged
    {
        const int sane = 1 << 20;
        byte[] answer = new byte[Unsafe.SizeOf<T>()];
        while (true)
        {
            MemoryMarshal.Write(answer, question);
            MemoryMarshal.Write(answer, (uint)answer.Length);
            fixed (byte* pointer = answer)
            {
                if (NativeMethods.Ioctl(file, request, pointer) < 0) throw LinuxException.Last(failure);
            }

            uint needed = MemoryMarshal.Read<uint>(answer);
            if (needed <= answer.Length) return answer;
            if (needed > sane) throw new LinuxException($"{failure}: the kernel asks for {needed} bytes of room");
            answer = new byte[needed];
        }
    }
}
