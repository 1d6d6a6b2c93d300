using Microsoft.Extensions.Logging;
using Xinim.Ipc;
using Xinim.Supervisor.Configuration;
using Xinim.Supervisor.Devices;
using Xinim.Supervisor.Manifests;
using Xinim.Vfio;
using Xinim.Vfio.Pci;
using Xinim.Vfio.Remote;
using Xinim.Vfio.Vfio;
using Xinim.Vfio.VhostUser;

namespace Xinim.Host.Daemon;

/// <summary>
/// The devices that the daemon takes, and what it changed to take them: bindings are put back and device models ended when it goes,
/// also when only some of the devices could be had.
/// </summary>
internal sealed class DeviceSet(ILogger log, DaemonOptions options, Supervisor.Supervisor supervisor, DaemonConfiguration configuration, ManifestStore manifests) : IDisposable
{
    /// <summary>Users of device models follow those of drivers.</summary>
    private const uint ModelUserOffset = 500;

    private readonly PciEnumerator _bus = new();
    private readonly DriverBinding _binding = new();
    private readonly TakenDevices _taken = new(configuration.TakenFolder());
    private readonly HashSet<PciAddress> _opening = [];
    private readonly List<RemoteMachine> _machines = [];
    private QemuProgram? _qemu;

    /// <summary>Opens every device and gives it to the supervisor.</summary>
    /// <exception cref="LinuxException">One of them cannot be had; says why and what to do.</exception>
    public void OpenAll()
    {
        GiveBackUnwanted();
        IReadOnlyList<DeviceConfiguration> wanted = configuration.Devices.Count > 0 ? configuration.Devices : FindBound();
        if (wanted.Count == 0 && !configuration.WaitForDevices)
            throw new LinuxException("there is nothing to drive: no device is bound to vfio-pci that a driver is installed for; run 'xinim bind ADDRESS' (see 'xinim list'), or name devices in a configuration file (--config), or let it wait for them with 'waitForDevices'");
        foreach (DeviceConfiguration device in wanted)
        {
            if (IsRemote(device)) OpenRemote(device);
            else if (VhostUserAddress.IsOne(device.Device)) supervisor.Add(new VhostUserBackend(VhostUserAddress.Parse(device.Device)), device);
            else if (configuration.WaitForDevices && _bus.TryFind(PciAddress.Parse(device.Device)) is null) log.LogInformation("{Device} is not there yet", device.Device);
            else supervisor.Add(OpenPci(PciAddress.Parse(device.Device)), device);
        }
    }

    /// <summary>What a former daemon took, crashed over, and nobody wants any more.</summary>
    private void GiveBackUnwanted()
    {
        foreach (PciAddress address in _taken.All.Where(address => Wish(address) is null)) GiveBack(address);
    }

    /// <summary>A function has appeared: it is taken if the configuration names it. On the supervisor's loop, as all that follows.</summary>
    public void OnAppeared(PciAddress address)
    {
        if (Wish(address) is { } wish) TakeLater(address, wish);
    }

    /// <summary>A function was given to vfio-pci by somebody: it is taken if the configuration names it, or names none and there is a driver.</summary>
    public void OnBound(PciAddress address)
    {
        DeviceConfiguration? found = configuration.Devices.Count == 0 ? FindBound().Find(device => device.Device == address.ToString()) : null;
        if ((Wish(address) ?? found) is { } wish) TakeLater(address, wish);
    }

    /// <summary>A function has gone: there is no binding left to put back.</summary>
    public void OnRemoved(PciAddress address)
    {
        if (Directory.Exists(configuration.TakenFolder())) _taken.Remove(address);
        supervisor.Remove(address.ToString(), "it was unplugged");
    }

    /// <summary>Takes whatever could be taken and is not.</summary>
    public void LookAgain()
    {
        foreach (PciFunction function in _bus.Enumerate())
        {
            if (function.Driver == DriverBinding.VfioDriver) OnBound(function.Address);
            else OnAppeared(function.Address);
        }
    }

    public void Dispose()
    {
        foreach (RemoteMachine machine in _machines) machine.Dispose();
        foreach (PciAddress address in _taken.All) GiveBack(address);
    }

    private void GiveBack(PciAddress address)
    {
        try
        {
            if (_bus.TryFind(address) is not null) log.LogInformation("{Address} goes back to {Driver}", address, _binding.Restore(address) ?? "no driver");
            _taken.Remove(address);
        }
        catch (LinuxException exception)
        {
            log.LogError("{Address} could not be given back: {Reason}", address, exception.Message);
        }
    }

    private static bool IsRemote(DeviceConfiguration device) => device.Device.StartsWith(RemoteModel.Prefix, StringComparison.Ordinal);

    private DeviceConfiguration? Wish(PciAddress address)
        => configuration.Devices.FirstOrDefault(device => PciAddress.TryParse(device.Device, out PciAddress wished) && wished == address);

    /// <summary>Binding and opening wait for the kernel, which may itself wait for a device: not on the loop, where every driver is looked after.</summary>
    private void TakeLater(PciAddress address, DeviceConfiguration wish)
    {
        if (supervisor.Has(address.ToString()) || !_opening.Add(address)) return;
        Task.Run(() =>
        {
            Action then;
            try
            {
                VfioBackend backend = OpenPci(address);
                then = () => supervisor.Add(backend, wish);
            }
            catch (Exception exception) when (exception is LinuxException or Vfio.DeviceFaultException)
            {
                then = () => throw exception;
            }

            supervisor.Loop.Post(() => Conclude(address, then));
        });
    }

    private void Conclude(PciAddress address, Action then)
    {
        _opening.Remove(address);
        try
        {
            then();
        }
        catch (Exception exception) when (exception is LinuxException or Vfio.DeviceFaultException)
        {
            log.LogError("{Address} has appeared and cannot be taken: {Reason}", address, exception.Message);
        }
    }

    private List<DeviceConfiguration> FindBound() =>
    [
        .. _bus.Enumerate()
            .Where(function => function.Driver == DriverBinding.VfioDriver && manifests.For(function.Identity) is not null)
            .Select(function => new DeviceConfiguration { Device = function.Address.ToString() }),
    ];

    private VfioBackend OpenPci(PciAddress address)
    {
        PciFunction function = _bus.Find(address);
        if (function.Driver != DriverBinding.VfioDriver)
        {
            string? previous = Bind(address);
            log.LogInformation("{Address} taken from {Driver}", address, previous ?? "no driver");
        }

        VfioBackend backend = VfioBackend.Open(address, new VfioOptions { AllowUnsafeDma = options.AllowUnsafeDma });
        if (!backend.HasIommu) log.LogWarning("{Address}: UNSAFE DMA: no IOMMU keeps this device from any memory of this machine", address);
        return backend;
    }

    /// <summary>Noted first: a daemon that crashes in between leaves nothing that nobody knows of.</summary>
    private string? Bind(PciAddress address)
    {
        _taken.Add(address);
        try
        {
            return _binding.Bind(address, allowUnsafeDma: options.AllowUnsafeDma);
        }
        catch
        {
            _taken.Remove(address);
            throw;
        }
    }

    private void OpenRemote(DeviceConfiguration device)
    {
        RemoteModel model = RemoteModel.Parse(device.Device, device.Netdev, device.Drives, device.Properties, device.Ports);
        if (_qemu is null)
        {
            _qemu = QemuProgram.Find();
            if (_qemu.Warning is { } warning) log.LogWarning("{Warning}", warning);
        }

        uint? user = Environment.IsPrivilegedProcess ? configuration.DriverUserBase + ModelUserOffset + (uint)_machines.Count : null;
        RemoteMachine machine = RemoteMachine.Start(_qemu, model, user, configuration.ProcessFolder());
        _machines.Add(machine);
        IDeviceBackend backend = machine.Backend;
        machine.Watch(supervisor.Loop, reason => supervisor.Disappear(backend, reason));
        log.LogInformation("{Device}: model runs as process {Pid}", model.Name, machine.Pid);
        supervisor.Add(backend, device);
    }
}
