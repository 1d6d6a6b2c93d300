using System.Diagnostics;
using Xinim.Ipc;

namespace Xinim.TestKit.Virtio;

/// <summary>A real vhost-user network back end: DPDK's testpmd, which takes frames and throws them away.</summary>
public sealed class VirtualSwitch : IDisposable
{
    private const string Program = "/usr/bin/dpdk-testpmd";
    private readonly Process _process;

    /// <param name="socket">Where it listens.</param>
    public VirtualSwitch(string socket)
    {
        if (!File.Exists(Program)) throw new LinuxException($"{Program} is missing; install the package dpdk-dev with scripts/install.sh remote");
        // DPDK does not listen where a dead process has left its socket.
        File.Delete(socket);
        string[] arguments =
        [
            "--no-huge", $"--file-prefix=xinim{Environment.ProcessId}", "-m", "256", "--no-pci", "-l", "0,1", "--vdev", $"net_vhost0,iface={socket},queues=1",
            "--", "--forward-mode=rxonly", "--no-mlockall", "--total-num-mbufs=4096", "--stats-period", "3600",
        ];
        _process = Process.Start(new ProcessStartInfo(Program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true })!;
        // What it says is read, or it would stop at a full pipe.
        _process.OutputDataReceived += (_, _) => { };
        _process.ErrorDataReceived += (_, _) => { };
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
    }

    public void Dispose()
    {
        _process.Kill();
        _process.WaitForExit();
        _process.Dispose();
    }
}
