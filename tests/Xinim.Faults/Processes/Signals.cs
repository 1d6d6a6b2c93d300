using System.Runtime.InteropServices;
using Tmds.Linux;
using Xinim.Ipc.Processes;

namespace Xinim.Faults.Processes;

/// <summary>kill(2) for processes that are nobody's children here.</summary>
internal static class Signals
{
    /// <returns>False where the process has ended.</returns>
    public static bool Send(int pid, int signal)
    {
        // 0 and below name process groups: the campaign's own among them.
        if (pid <= 0) return false;
        if (LibC.kill(pid, signal) == 0) return true;
        int error = Marshal.GetLastPInvokeError();
        if (error == LibC.ESRCH) return false;
        throw new CampaignException($"cannot signal process {pid} (errno {error}); run as root, or as the daemon's user");
    }

    public static bool Send(int pid, PosixSignalNumber signal) => Send(pid, (int)signal);
}
