using Microsoft.Win32.SafeHandles;
using Xinim.Ipc;
using Xinim.Ipc.Events;
using Xinim.Ipc.Processes;
using Xinim.Vfio.Remote;

namespace Xinim.Supervisor.Devices;

/// <summary>A QEMU process that is one device model. Started, watched and stopped by the daemon; needs no privilege and gets none.</summary>
public sealed class RemoteMachine : IDisposable
{
    private const int ModelSocket = 3;

    private readonly ChildProcess _process;
    private IDisposable? _watch;
    private bool _hung;

    private RemoteMachine(ChildProcess process, RemoteBackend backend)
    {
        _process = process;
        Backend = backend;
        backend.EndModel = () =>
        {
            _hung = true;
            process.Signal(PosixSignalNumber.Kill);
        };
    }

    /// <summary>The device; owned by whoever takes it.</summary>
    public RemoteBackend Backend { get; }

    public int Pid => _process.Pid;

    /// <summary>Starts the model and waits until it answers.</summary>
    /// <param name="user">User of the process; null for the daemon's own.</param>
    /// <param name="notes">Folder of <see cref="LaunchRequest.Notes"/>.</param>
    /// <exception cref="LinuxException">QEMU is missing or refused its arguments.</exception>
    public static RemoteMachine Start(QemuProgram qemu, RemoteModel model, uint? user, string? notes = null)
    {
        (SafeFileHandle mine, SafeFileHandle its) = RemoteLink.CreateSocketPair();
        ChildProcess process;
        using (its)
        {
            try
            {
                process = ProcessLauncher.Start(new LaunchRequest { Executable = qemu.Path, Arguments = model.CommandLine(ModelSocket), Handles = [its], User = user, Notes = notes });
            }
            catch
            {
                mine.Dispose();
                throw;
            }
        }

        try
        {
            return new RemoteMachine(process, new RemoteBackend(mine, model.Name));
        }
        catch (Exception exception) when (exception is Vfio.DeviceFaultException or LinuxException)
        {
            process.Dispose();
            throw new LinuxException($"the device model {model.Name} did not start ({process.Exit}): {exception.Message}; QEMU's own message stands above");
        }
    }

    /// <summary>Calls <paramref name="onEnd"/> with the reason when the process ends by itself.</summary>
    public void Watch(EventLoop loop, Action<string> onEnd) => _watch = loop.Watch(_process.Handle, () =>
    {
        _watch?.Dispose();
        _process.TryReap();
        onEnd(_hung ? "its device model hung and was ended" : $"its device model's process ended: {_process.Exit}");
    });

    public void Dispose()
    {
        _watch?.Dispose();
        _process.Dispose();
    }
}
