using System.Diagnostics;
using System.Globalization;
using Xinim.Ipc;
using Xinim.Vfio.Native;
using Xinim.Vfio.Registers;
using Xinim.Vfio.Vfio;

namespace Xinim.Vfio.Pci;

/// <summary>
/// Hands a device from its kernel driver to VFIO and back, through driver_override (Documentation/ABI/testing/sysfs-bus-pci). What drove
/// the device before is written down outside this process, so that another one can put it back.
/// </summary>
public sealed class DriverBinding
{
    /// <summary>The driver that gives devices to user space.</summary>
    public const string VfioDriver = "vfio-pci";

    /// <summary>A bound device that had no driver before is remembered with this.</summary>
    private const string NoDriver = "none";

    private static readonly TimeSpan ProbeLimit = TimeSpan.FromMilliseconds(500), ProbePause = TimeSpan.FromMilliseconds(5);

    private readonly PciEnumerator _devices;
    private readonly BindingPaths _paths;
    private readonly DeviceUse _use;
    private readonly Action<string, string> _write;

    /// <param name="paths">Where everything is.</param>
    /// <param name="use">Tells what must not be taken away.</param>
    /// <param name="write">Writes an attribute (path, text); a fake kernel in tests.</param>
    public DriverBinding(BindingPaths? paths = null, DeviceUse? use = null, Action<string, string>? write = null)
    {
        _paths = paths ?? new BindingPaths();
        _devices = new PciEnumerator(_paths.SysfsRoot);
        _use = use ?? new DeviceUse(_paths.SysfsRoot);
        _write = write ?? SysfsFiles.Write;
    }

    /// <summary>Binds a device. Does nothing where it is bound already.</summary>
    /// <param name="address">The device.</param>
    /// <param name="driver">Usually <see cref="VfioDriver"/>.</param>
    /// <param name="force">Also take a device that the system is using.</param>
    /// <param name="allowUnsafeDma">Also where there is no IOMMU.</param>
    /// <returns>The driver that the device had, or null.</returns>
    /// <exception cref="LinuxException">No such device, driver not loaded, not root, no IOMMU, or in use; the device is as it was.</exception>
    public string? Bind(PciAddress address, string driver = VfioDriver, bool force = false, bool allowUnsafeDma = false)
    {
        PciFunction function = _devices.Find(address);
        if (function.Driver == driver) return PreviousDriver(address);
        Check(function, driver, force, allowUnsafeDma);
        Remember(address, function.Driver);
        try
        {
            Rebind(function, driver, force);
        }
        catch (LinuxException)
        {
            Undo(function);
            throw;
        }

        return PreviousDriver(address);
    }

    /// <summary>Gives a device back to the driver that it had before <see cref="Bind"/>, or, where nobody remembers, to whichever driver wants it.</summary>
    /// <returns>The driver that it has now, or null.</returns>
    /// <exception cref="LinuxException">No such device, not root, open in a process, or the old driver refuses.</exception>
    public string? Restore(PciAddress address)
    {
        PciFunction function = _devices.Find(address);
        RefuseIfOpen(function);
        string? previous = PreviousDriver(address);
        if (function.Driver is { } current && current != previous) Unbind(address, current);
        // A newline alone clears the override; an empty write would not reach the kernel.
        _write(Attribute(address, "driver_override"), "\n");
        if (previous is not null && !DriverIsLoaded(previous))
            throw new LinuxException($"{address} was driven by {previous}, which is not loaded any more; 'modprobe {previous}' gives the device back to it");
        bool wanted = !HadNoDriver(address) && _devices.Find(address).Driver is null;
        if (wanted && previous is not null) _write(Path.Combine(DriverPath(previous), "bind"), address.ToString());
        else if (wanted) Probe(address);
        string? now = _devices.Find(address).Driver;
        if (previous is not null && now != previous)
            throw new LinuxException($"{address} did not go back to {previous} (it has {now ?? "no driver"}); the kernel's log says why");
        Forget(address);
        return now;
    }

    /// <summary>The driver that a bound device had, as written down by whichever process bound it; null for none or unknown.</summary>
    public string? PreviousDriver(PciAddress address) => SysfsFiles.ReadText(StateFile(address)) is { Length: > 0 } name && name != NoDriver && IsName(name) ? name : null;

    private void Check(PciFunction function, string driver, bool force, bool allowUnsafeDma)
    {
        PciAddress address = function.Address;
        if (!IsName(driver)) throw new ArgumentException($"'{driver}' is no driver's name", nameof(driver));
        if (!DriverIsLoaded(driver)) throw new LinuxException($"the driver {driver} is not loaded; 'modprobe {driver}'");
        if (function.IsBridge) throw new LinuxException($"{address} is a bridge; {driver} takes devices only");
        if (function.IommuGroup is null && !allowUnsafeDma)
        {
            throw new LinuxException($"{address} is in no IOMMU group: no IOMMU is active; boot with 'intel_iommu=on' or 'amd_iommu=on' "
                + "and switch VT-d or AMD-Vi on in the firmware");
        }

        RefuseIfUsed(address, force);
        if (function.Driver == VfioDriver) RefuseIfOpen(function);
    }

    private void RefuseIfUsed(PciAddress address, bool force)
    {
        IReadOnlyList<string> uses = _use.Find(address);
        if (uses.Count != 0 && !force)
            throw new LinuxException($"{address} is in use: {string.Join("; ", uses)}; free it first, or force it");
    }

    /// <summary>
    /// The kernel is not done with a function that has just appeared when its event comes (pci_bus_add_device): a probe is in vain before it, and where the
    /// kernel looked for a driver before the override, it is another that has the function by now.
    /// </summary>
    private void Rebind(PciFunction function, string driver, bool force)
    {
        PciAddress address = function.Address;
        _write(Attribute(address, "driver_override"), driver);
        if (function.Driver is { } current) Unbind(address, current);
        long start = Stopwatch.GetTimestamp();
        string? now;
        while (true)
        {
            Probe(address);
            now = _devices.Find(address).Driver;
            if (now == driver) return;
            if (Stopwatch.GetElapsedTime(start) > ProbeLimit || (now is not null && function.Driver is not null)) break;
            if (now is not null) TakeFrom(now, function.Address, force);
            else Wait.Pause(ProbePause);
        }

        throw new LinuxException($"{address} was not taken by {driver} (it has {now ?? "no driver"}); the kernel's log says why");
    }

    private void TakeFrom(string driver, PciAddress address, bool force)
    {
        Remember(address, driver);
        RefuseIfUsed(address, force);
        Unbind(address, driver);
    }

    private void Unbind(PciAddress address, string driver) => _write(Path.Combine(DriverPath(driver), "unbind"), address.ToString());

    private void Probe(PciAddress address) => _write(Path.Combine(_paths.SysfsRoot, "bus/pci/drivers_probe"), address.ToString());

    /// <summary>After a failed bind. The first failure is what the caller hears of.</summary>
    private void Undo(PciFunction before)
    {
        try
        {
            if (_devices.Find(before.Address).Driver == before.Driver) _write(Attribute(before.Address, "driver_override"), "\n");
            else Restore(before.Address);
            Forget(before.Address);
        }
        catch (LinuxException)
        {
            // The state file stays, so that 'xinim unbind' can try again.
        }
    }

    // Unbinding would wait in the kernel, unkillably, until the other process closes the device.
    private void RefuseIfOpen(PciFunction function)
    {
        if (function.Driver != VfioDriver || function.IommuGroup is not { } group) return;
        string name = string.Create(CultureInfo.InvariantCulture, $"{(function.HasNoIommuGroup ? "noiommu-" : "")}{group}");
        if (VfioGroup.IsOpenElsewhere(Path.Combine(_paths.DeviceDirectory, name)))
            throw new LinuxException($"{function.Address} is in use: a process has IOMMU group {group} open; stop it first", Errno.EBUSY);
    }

    private void Remember(PciAddress address, string? driver)
    {
        try
        {
            Directory.CreateDirectory(_paths.StateDirectory);
            // A device without a driver whose state is there already was left so by a bind that failed halfway: the state knows better.
            if (driver is not null || !File.Exists(StateFile(address))) File.WriteAllText(StateFile(address), (driver ?? NoDriver) + "\n");
        }
        catch (Exception error) when (error is UnauthorizedAccessException or IOException)
        {
            throw new LinuxException($"cannot remember the driver of {address} in {_paths.StateDirectory}; run as root ({error.Message})");
        }
    }

    private void Forget(PciAddress address)
    {
        try
        {
            if (File.Exists(StateFile(address))) File.Delete(StateFile(address));
        }
        catch (Exception error) when (error is UnauthorizedAccessException or IOException)
        {
            throw new LinuxException($"cannot remove {StateFile(address)}; run as root ({error.Message})");
        }
    }

    private bool HadNoDriver(PciAddress address) => SysfsFiles.ReadText(StateFile(address)) == NoDriver;

    private bool DriverIsLoaded(string driver) => Directory.Exists(DriverPath(driver));

    private string DriverPath(string driver) => Path.Combine(_paths.SysfsRoot, "bus/pci/drivers", driver);

    private string Attribute(PciAddress address, string name) => Path.Combine(_devices.PathOf(address), name);

    private string StateFile(PciAddress address) => Path.Combine(_paths.StateDirectory, address.ToString());

    // The name becomes part of a path: no way out of the drivers' directory.
    private static bool IsName(string name) => name.Length is > 0 and < 64 && name.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_');
}
