using Xinim.Ipc;
using Xinim.Ipc.Processes;

namespace Xinim.TestKit.Virtio;

/// <summary>A real vhost-user back end: qemu-storage-daemon with an image of some sectors, each filled with its number.</summary>
public sealed class StorageDaemon : IDisposable
{
    public const int Sectors = 256;
    public const int SectorBytes = 512;
    public const int Queues = 4;
    private const string Program = "/usr/bin/qemu-storage-daemon";
    private readonly string _folder;
    private ChildProcess? _process;

    /// <param name="folder">For its image and its socket.</param>
    public StorageDaemon(string folder, int sectors = Sectors)
    {
        _folder = folder;
        if (!File.Exists(Program)) throw new LinuxException($"{Program} is missing; install the package qemu-system-common with scripts/install.sh remote");
        File.WriteAllBytes(Image, [.. Enumerable.Range(0, sectors * SectorBytes).Select(offset => (byte)(offset / SectorBytes))]);
    }

    /// <summary>Where it listens.</summary>
    public string Socket => Path.Combine(_folder, "blk.sock");

    public string Image => Path.Combine(_folder, "image");

    public void Start() => Start(["--blockdev", $"driver=raw,node-name=disk,file.driver=file,file.filename={Image}"]);

    /// <summary>Two requests a second: those after the first are in flight for a while.</summary>
    public void StartSlow() => Start(
    [
        "--object", "throttle-group,id=slow,x-iops-total=2",
        "--blockdev", $"driver=throttle,node-name=disk,throttle-group=slow,file.driver=raw,file.file.driver=file,file.file.filename={Image}",
    ]);

    /// <summary>Ends it as a crash would: nothing is said, and its socket file stays.</summary>
    public void Kill()
    {
        _process?.Dispose();
        _process = null;
    }

    public void Dispose() => Kill();

    private void Start(string[] disk) => _process = ProcessLauncher.Start(new LaunchRequest
    {
        Executable = Program,
        Arguments = [.. disk, "--export", $"type=vhost-user-blk,id=export,node-name=disk,writable=on,num-queues={Queues},addr.type=unix,addr.path={Socket}"],
    });
}
