using System.Diagnostics;
using System.Globalization;
using Xinim.Ipc;

namespace Xinim.TestKit.Virtio;

/// <summary>A real vhost-user network back end: DPDK's testpmd.</summary>
public sealed class VirtualSwitch : IDisposable
{
    private const string Program = "/usr/bin/dpdk-testpmd";
    private readonly Process _process;
    private ulong _taken;

    /// <param name="socket">Where it listens.</param>
    /// <param name="mode">What it does with frames: <c>rxonly</c> throws them away, <c>macswap</c> sends them back with their addresses swapped.</param>
    /// <param name="queues">Pairs; what comes on one goes back on it.</param>
    public VirtualSwitch(string socket, string mode = "rxonly", int queues = 1)
    {
        if (!File.Exists(Program)) throw new LinuxException($"{Program} is missing; install the package dpdk-dev with scripts/install.sh remote");
        // DPDK does not listen where a dead process has left its socket.
        File.Delete(socket);
        string[] arguments =
        [
            "--no-huge", $"--file-prefix=xinim{Environment.ProcessId}", "-m", "256", "--no-pci", "-l", "0,1", "--vdev", $"net_vhost0,iface={socket},queues={queues}",
            "--", $"--forward-mode={mode}", "--no-mlockall", $"--rxq={queues}", $"--txq={queues}", "--total-num-mbufs=4096", "--stats-period", "1",
        ];
        _process = Process.Start(new ProcessStartInfo(Program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true })!;
        // What it says is read, or it would stop at a full pipe.
        _process.OutputDataReceived += (_, line) => Read(line.Data);
        _process.ErrorDataReceived += (_, _) => { };
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
    }

    /// <summary>Frames that it has taken, as it says once a second.</summary>
    public ulong Taken => Volatile.Read(ref _taken);

    private void Read(string? line)
    {
        const string label = "RX-packets:";
        if (line?.IndexOf(label, StringComparison.Ordinal) is not (>= 0 and int at)) return;
        string[] words = line[(at + label.Length)..].Split(' ', StringSplitOptions.RemoveEmptyEntries);
        if (words.Length > 0 && ulong.TryParse(words[0], NumberStyles.None, CultureInfo.InvariantCulture, out ulong count)) Volatile.Write(ref _taken, count);
    }

    public void Dispose()
    {
        _process.Kill();
        _process.WaitForExit();
        _process.Dispose();
    }
}
