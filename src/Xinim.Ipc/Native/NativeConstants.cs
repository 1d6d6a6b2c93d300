namespace Xinim.Ipc.Native;

/// <summary>Constants of Linux that Tmds.LibC lacks, from linux/memfd.h and linux/fcntl.h.</summary>
internal static class NativeConstants
{
    public const uint MFD_CLOEXEC = 1;
    public const uint MFD_ALLOW_SEALING = 2;
    public const uint MFD_HUGETLB = 4;
    public const int MFD_HUGE_SHIFT = 26;
    public const int F_DUPFD_CLOEXEC = 1030;
    public const int F_ADD_SEALS = 1033;
    public const int F_GET_SEALS = 1034;
    public const int F_SEAL_SEAL = 1;
    public const int F_SEAL_SHRINK = 2;
    public const int F_SEAL_GROW = 4;
}
