using Microsoft.Win32.SafeHandles;
using Xinim.Ipc.Native;
using Xinim.Ipc.Processes;
using Xinim.Vfio.Remote;

namespace Xinim.TestKit.Remote;

/// <summary>A real device model in a QEMU process of its own, with its owner's back end.</summary>
public sealed class QemuDevice : IDisposable
{
    private static readonly Lazy<QemuProgram> Program = new(() => QemuProgram.Find());
    private readonly List<IDisposable> _drivers = [];

    public QemuDevice(RemoteModel model)
    {
        (SafeFileHandle link, SafeFileHandle end) = RemoteLink.CreateSocketPair();
        using (end) Process = ProcessLauncher.Start(new LaunchRequest { Executable = Program.Value.Path, Arguments = model.CommandLine(3), Handles = [end] });
        try
        {
            Backend = new RemoteBackend(link, model.Name);
        }
        catch
        {
            Process.Dispose();
            throw;
        }
    }

    public QemuDevice(string device)
        : this(RemoteModel.Parse(device))
    {
    }

    public ChildProcess Process { get; }

    public RemoteBackend Backend { get; }

    /// <summary>What a driver process would have: a descriptor of its own for the same socket.</summary>
    public SafeFileHandle DuplicateSocket() => Descriptor.Duplicate(Backend.DriverHandles[0]);

    /// <summary>The device as a driver sees it.</summary>
    public RemotePciDevice OpenDriver(TimeSpan? timeout = null)
    {
        RemotePciDevice device = RemotePciDevice.FromHandles(DuplicateSocket(), Backend.Name, timeout);
        _drivers.Add(device);
        return device;
    }

    public void Dispose()
    {
        foreach (IDisposable driver in _drivers) driver.Dispose();
        Backend.Dispose();
        Process.Dispose();
    }
}
