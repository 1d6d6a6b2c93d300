using System.Globalization;
using Xinim.Ipc;

namespace Xinim.Vfio.Vfio;

/// <summary>
/// What this process may lock in memory. VFIO pins each page that it maps and counts it against RLIMIT_MEMLOCK unless the process has
/// CAP_IPC_LOCK (drivers/vfio/vfio_iommu_type1.c, vfio_lock_acct).
/// </summary>
/// <param name="Limit">Bytes; <see cref="ulong.MaxValue"/> for unlimited.</param>
/// <param name="Used">Bytes that are locked now.</param>
/// <param name="Exempt">CAP_IPC_LOCK: the limit does not count.</param>
public readonly record struct LockedMemory(ulong Limit, ulong Used, bool Exempt)
{
    private const int CapIpcLock = 14;

    /// <summary>Reads /proc/self/limits and /proc/self/status.</summary>
    /// <param name="processDirectory">Another place in tests.</param>
    public static LockedMemory Read(string processDirectory = "/proc/self")
    {
        string limits = Line(Path.Combine(processDirectory, "limits"), "Max locked memory");
        string soft = limits.Split(' ', StringSplitOptions.RemoveEmptyEntries).FirstOrDefault() ?? "unlimited";
        string status = Path.Combine(processDirectory, "status");
        string locked = Line(status, "VmLck:").Split(' ', StringSplitOptions.RemoveEmptyEntries).FirstOrDefault() ?? "0";
        _ = ulong.TryParse(Line(status, "CapEff:"), NumberStyles.HexNumber, CultureInfo.InvariantCulture, out ulong capabilities);
        _ = ulong.TryParse(locked, CultureInfo.InvariantCulture, out ulong kilobytes);
        return new LockedMemory(
            ulong.TryParse(soft, CultureInfo.InvariantCulture, out ulong limit) ? limit : ulong.MaxValue,
            kilobytes * 1024,
            (capabilities >> CapIpcLock & 1) != 0);
    }

    /// <summary>Refuses what the kernel would refuse with a bare ENOMEM.</summary>
    /// <exception cref="LinuxException">The limit is too low; says how much is needed and how to raise it.</exception>
    public void Require(ulong bytes, string what)
    {
        if (Exempt || (Used <= Limit && bytes <= Limit - Used)) return;
        throw new LinuxException($"{what} needs {Mebibytes(bytes)} of locked memory, {Mebibytes(Limit)} are allowed and {Mebibytes(Used)} in use; "
            + $"raise it to at least {Mebibytes(Used + bytes)}: 'LimitMEMLOCK=infinity' in the systemd unit, 'ulimit -l' in a shell, "
            + "or give the process CAP_IPC_LOCK");
    }

    private static string Mebibytes(ulong bytes) => string.Create(CultureInfo.InvariantCulture, $"{bytes / 1048576.0:0.##} MiB");

    private static string Line(string file, string start) =>
        File.ReadLines(file).FirstOrDefault(line => line.StartsWith(start, StringComparison.Ordinal))?[start.Length..].Trim() ?? "";
}
