using System.Globalization;
using System.Text.RegularExpressions;
using Xinim.Ipc;

namespace Xinim.Vfio.Remote;

/// <summary>
/// One of QEMU's PCI device models as the configuration names it, and the command line that serves it. Every word is checked against what
/// such a word looks like before it reaches the command line, where a comma would start another option.
/// </summary>
public sealed partial class RemoteModel
{
    /// <summary>What a device in the configuration starts with.</summary>
    public const string Prefix = "remote:";

    private const string Disc = ",media=cdrom";
    private const string BadSector = "bad-sector=";
    private const string DeviceId = "dev";
    private const string NetdevId = "net";

    private RemoteModel(string model, string? netdev, string[] drives, KeyValuePair<string, string>[] properties, RemotePort[] ports)
    {
        Model = model;
        Netdev = netdev;
        Drives = drives;
        Properties = properties;
        Ports = ports;
    }

    /// <summary>QEMU's name for the model, such as <c>e1000</c>.</summary>
    public string Model { get; }

    /// <summary>The device's name in Xinim.</summary>
    public string Name => Prefix + Model;

    /// <summary>Where a NIC's frames go; null for nowhere: everything sent counts as sent, nothing arrives.</summary>
    public string? Netdev { get; }

    /// <summary>Disks, as given.</summary>
    public IReadOnlyList<string> Drives { get; }

    /// <summary>Properties of the model, as given.</summary>
    public IReadOnlyList<KeyValuePair<string, string>> Properties { get; }

    /// <summary>Ports of a virtio-serial, numbered from 0 on, or from 1 on where there is no console.</summary>
    public IReadOnlyList<RemotePort> Ports { get; }

    /// <summary>Reads a device from the configuration.</summary>
    /// <param name="device"><c>remote:MODEL</c>.</param>
    /// <param name="netdev">
    /// <c>user</c> or <c>socket</c> with options, as for QEMU's -netdev: <c>socket,udp=127.0.0.1:9001,localaddr=127.0.0.1:9000</c>; or <c>tap,ifname=NAME</c>, with
    /// <c>queues=N</c> for several pairs of queues, of an interface that there is already (<c>ip tuntap add dev NAME mode tap multi_queue vnet_hdr</c>).
    /// </param>
    /// <param name="drives">
    /// Each the absolute path of a raw image, or <c>null-co,size=BYTES</c> for a disk that reads as zeroes. Behind a path <c>,read-only=on</c>, <c>,discard=unmap</c> (what is discarded
    /// frees space), <c>,media=cdrom</c> (a disc in a drive of an AHCI controller) or <c>,bad-sector=N</c> (reads and writes of the 512-byte sector N fail).
    /// </param>
    /// <param name="properties">Properties of the model such as <c>mac</c>, <c>serial</c>.</param>
    /// <param name="ports">For <c>virtio-serial-pci</c> only.</param>
    /// <exception cref="LinuxException">A word is not what it should be; the message names it.</exception>
    public static RemoteModel Parse(
        string device, string? netdev = null, IEnumerable<string>? drives = null, IEnumerable<KeyValuePair<string, string>>? properties = null, IEnumerable<RemotePort>? ports = null)
    {
        string model = device.StartsWith(Prefix, StringComparison.Ordinal) ? device[Prefix.Length..] : "";
        if (!ModelPattern().IsMatch(model)) throw new LinuxException($"'{device}' names no device model; write for example 'remote:e1000'");
        if (netdev is not null && !NetdevPattern().IsMatch(netdev))
            throw new LinuxException($"netdev '{netdev}' of {device} is not understood; write 'user' or for example 'socket,udp=127.0.0.1:9001,localaddr=127.0.0.1:9000'");
        string[] disks = [.. drives ?? []];
        foreach (string drive in disks)
        {
            if (!DrivePattern().IsMatch(drive))
                throw new LinuxException($"drive '{drive}' of {device} is not understood; write an absolute path (letters, digits, '_', '.', '/', '-') or 'null-co,size=1073741824'");
        }
        KeyValuePair<string, string>[] extra = [.. properties ?? []];
        foreach ((string key, string value) in extra)
        {
            if (!KeyPattern().IsMatch(key) || !ValuePattern().IsMatch(value) || key is "id" or "netdev" or "drive" or "bus" or "romfile")
                throw new LinuxException($"property '{key}={value}' of {device} is not allowed: letters, digits and '_.:/+-' only, and not id, netdev, drive, bus or romfile");
        }
        RemotePort[] serial = [.. ports ?? []];
        foreach (RemotePort port in serial) port.Check(device);
        if (serial.Length != 0 && model != RemotePort.Model) throw new LinuxException($"{device} has no ports; {Prefix}{RemotePort.Model} has");
        return new RemoteModel(model, netdev, disks, extra, serial);
    }

    /// <summary>
    /// Arguments for <see cref="QemuProgram.Name"/>. The process needs no privilege: it may run as any user, with no descriptors but
    /// standard ones and the socket, and it ends when every holder of the socket's other end has closed it.
    /// </summary>
    /// <param name="fd">The number that the model's end of the socket has in the new process.</param>
    public IReadOnlyList<string> CommandLine(int fd)
    {
        List<string> arguments =
        [
            // A small translation buffer: the remote machine has no processor, and the default reserves 1 GiB of addresses.
            "-machine", "x-remote", "-accel", "tcg,tb-size=1", "-nodefaults", "-no-user-config", "-display", "none", "-monitor", "none",
            "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
        ];
        // Whoever has made the interface has set it up too.
        string scripts = Netdev is not null && Netdev.StartsWith("tap,", StringComparison.Ordinal) ? ",script=no,downscript=no" : "";
        if (Netdev is not null) arguments.AddRange(["-netdev", $"{Netdev},id={NetdevId}{scripts}"]);
        for (int i = 0; i < Drives.Count; i++) arguments.AddRange(["-blockdev", BlockDevice(Drives[i], i)]);
        arguments.AddRange(["-device", Device()]);
        // A host adapter takes its disks as devices of their own, other disk controllers take one as a property.
        if (IsAhci) for (int i = 0; i < Drives.Count; i++) arguments.AddRange(["-device", $"{(Drives[i].EndsWith(Disc, StringComparison.Ordinal) ? "ide-cd" : "ide-hd")},drive=drive{Number(i)},bus={DeviceId}.{Number(i)}"]);
        for (int i = 0; i < Ports.Count; i++) arguments.AddRange(Ports[i].Arguments(DeviceId, Ports[0].Console ? i : i + 1));
        arguments.AddRange(["-object", $"x-remote-object,id=remote,devid={DeviceId},fd={Number(fd)}"]);
        return arguments;
    }

    private bool IsAhci => Model is "ich9-ahci" or "ahci";

    private static string Number(int value) => value.ToString(CultureInfo.InvariantCulture);

    private static string BlockDevice(string drive, int index)
    {
        string[] words = drive.Split(',');
        string node = $"node-name=drive{Number(index)}";
        if (!drive.StartsWith('/')) return $"driver={words[0]},{node},read-zeroes=on,{string.Join(',', words[1..])}";
        if (drive.EndsWith(Disc, StringComparison.Ordinal)) return $"driver=raw,{node},read-only=on,file.driver=file,file.filename={words[0]}";
        if (words.Length == 1 || !words[1].StartsWith(BadSector, StringComparison.Ordinal)) return $"driver=raw,{node},file.driver=file,file.filename={drive}";
        string sector = words[1][BadSector.Length..];
        return $"driver=raw,{node},file.driver=blkdebug,file.image.driver=file,file.image.filename={words[0]},"
            + $"file.inject-error.0.event=read_aio,file.inject-error.0.sector={sector},file.inject-error.1.event=write_aio,file.inject-error.1.sector={sector}";
    }

    private string Device()
    {
        // No option ROM: nobody runs it, and its file is in another package.
        List<string> words = [Model, $"id={DeviceId}", "romfile="];
        // Without iommu_platform the virtio models ignore bus mastering: they use the machine's memory, not the function's view of it.
        if (Model.StartsWith("virtio-", StringComparison.Ordinal)) words.AddRange(["disable-legacy=on", "iommu_platform=on"]);
        if (Netdev is not null) words.Add($"netdev={NetdevId}");
        if (Drives.Count > 0 && !IsAhci) words.Add("drive=drive0");
        words.AddRange(Properties.Select(property => $"{property.Key}={property.Value}"));
        return string.Join(',', words);
    }

    [GeneratedRegex(@"^[a-z0-9][a-z0-9._-]{0,63}\z")]
    private static partial Regex ModelPattern();

    [GeneratedRegex(@"^(user(,(net|host|dhcpstart|dns|restrict)=[0-9a-z./:-]+)*|socket(,(udp|localaddr|listen|connect|mcast)=[0-9A-Za-z.:\[\]-]+)+|tap,ifname=[0-9A-Za-z_.-]{1,15}(,queues=[2-8])?)\z")]
    private static partial Regex NetdevPattern();

    [GeneratedRegex(@"^(/[0-9A-Za-z_./-]+(,read-only=on|,discard=unmap|,media=cdrom|,bad-sector=[0-9]{1,18})?|null-co,size=[0-9]{1,18}(,latency-ns=[0-9]{1,12})?)\z")]
    private static partial Regex DrivePattern();

    [GeneratedRegex(@"^[a-z][a-z0-9_-]{0,63}\z")]
    private static partial Regex KeyPattern();

    [GeneratedRegex(@"^[0-9A-Za-z_.:/+-]{0,255}\z")]
    private static partial Regex ValuePattern();
}
