using Microsoft.Extensions.Logging;
using Xinim.Ipc;
using Xinim.Supervisor.Configuration;
using Xinim.Supervisor.Devices;
using Xinim.Supervisor.Manifests;
using Xinim.Vfio;
using Xinim.Vfio.Pci;
using Xinim.Vfio.Remote;
using Xinim.Vfio.Vfio;

namespace Xinim.Host.Daemon;

/// <summary>
/// The devices that the daemon takes, and what it changed to take them: bindings are put back and device models ended when it goes,
/// also when only some of the devices could be had.
/// </summary>
internal sealed class DeviceSet(ILogger log, DaemonOptions options) : IDisposable
{
    /// <summary>Users of device models follow those of drivers.</summary>
    private const uint ModelUserOffset = 500;

    private readonly PciEnumerator _bus = new();
    private readonly DriverBinding _binding = new();
    private readonly List<PciAddress> _bound = [];
    private readonly List<RemoteMachine> _machines = [];
    private QemuProgram? _qemu;

    /// <summary>Opens every device and gives it to the supervisor.</summary>
    /// <exception cref="LinuxException">One of them cannot be had; says why and what to do.</exception>
    public void OpenAll(Supervisor.Supervisor supervisor, DaemonConfiguration configuration, ManifestStore manifests)
    {
        IReadOnlyList<DeviceConfiguration> wanted = configuration.Devices.Count > 0 ? configuration.Devices : FindBound(manifests);
        if (wanted.Count == 0)
            throw new LinuxException("there is nothing to drive: no device is bound to vfio-pci that a driver is installed for; run 'xinim bind ADDRESS' (see 'xinim list'), or name devices in a configuration file (--config)");
        foreach (DeviceConfiguration device in wanted)
        {
            if (device.Device.StartsWith(RemoteModel.Prefix, StringComparison.Ordinal)) OpenRemote(supervisor, configuration, device);
            else supervisor.Add(OpenPci(device.Device), device);
        }
    }

    public void Dispose()
    {
        foreach (RemoteMachine machine in _machines) machine.Dispose();
        foreach (PciAddress address in _bound)
        {
            try
            {
                log.LogInformation("{Address} goes back to {Driver}", address, _binding.Restore(address) ?? "no driver");
            }
            catch (LinuxException exception)
            {
                log.LogError("{Address} could not be given back: {Reason}", address, exception.Message);
            }
        }
    }

    private List<DeviceConfiguration> FindBound(ManifestStore manifests) =>
    [
        .. _bus.Enumerate()
            .Where(function => function.Driver == DriverBinding.VfioDriver && manifests.For(function.Identity) is not null)
            .Select(function => new DeviceConfiguration { Device = function.Address.ToString() }),
    ];

    private VfioBackend OpenPci(string name)
    {
        PciAddress address = PciAddress.Parse(name);
        PciFunction function = _bus.Find(address);
        if (function.Driver != DriverBinding.VfioDriver)
        {
            string? previous = _binding.Bind(address, allowUnsafeDma: options.AllowUnsafeDma);
            _bound.Add(address);
            log.LogInformation("{Address} taken from {Driver}", address, previous ?? "no driver");
        }

        VfioBackend backend = VfioBackend.Open(address, new VfioOptions { AllowUnsafeDma = options.AllowUnsafeDma });
        if (!backend.HasIommu) log.LogWarning("{Address}: UNSAFE DMA: no IOMMU keeps this device from any memory of this machine", address);
        return backend;
    }

    private void OpenRemote(Supervisor.Supervisor supervisor, DaemonConfiguration configuration, DeviceConfiguration device)
    {
        RemoteModel model = RemoteModel.Parse(device.Device, device.Netdev, null, device.Properties);
        if (_qemu is null)
        {
            _qemu = QemuProgram.Find();
            if (_qemu.Warning is { } warning) log.LogWarning("{Warning}", warning);
        }

        uint? user = Environment.IsPrivilegedProcess ? configuration.DriverUserBase + ModelUserOffset + (uint)_machines.Count : null;
        RemoteMachine machine = RemoteMachine.Start(_qemu, model, user);
        _machines.Add(machine);
        IDeviceBackend backend = machine.Backend;
        machine.Watch(supervisor.Loop, reason => supervisor.Disappear(backend, reason));
        log.LogInformation("{Device}: model runs as process {Pid}", model.Name, machine.Pid);
        supervisor.Add(backend, device);
    }
}
