using System.Globalization;
using System.Text.RegularExpressions;
using Xinim.Ipc;

namespace Xinim.Vfio.Remote;

/// <summary>A port of a remote virtio-serial, and the Unix socket on which QEMU listens for its other side.</summary>
public sealed partial record RemotePort
{
    /// <summary>QEMU's name of the device that has ports.</summary>
    public const string Model = "virtio-serial-pci";

    /// <summary>What drivers see of it; null for none.</summary>
    public string? Name { get; set; }

    /// <summary>Absolute path of a socket, made when the device starts. Null for nowhere: what is sent vanishes.</summary>
    public string? Socket { get; set; }

    /// <summary>A console, not a port for data. The first port can be one.</summary>
    public bool Console { get; set; }

    /// <exception cref="LinuxException">A word is not what it should be; the message names it.</exception>
    internal void Check(string device)
    {
        if (Name is not null && !NamePattern().IsMatch(Name)) throw new LinuxException($"port name '{Name}' of {device} is not allowed: 1 to 64 letters, digits and '_.:-'");
        if (Socket is not null && !PathPattern().IsMatch(Socket))
            throw new LinuxException($"socket '{Socket}' of {device} is not understood; write an absolute path of at most 100 letters, digits, '_', '.', '/', '-'");
    }

    /// <summary>Arguments for QEMU.</summary>
    internal IEnumerable<string> Arguments(string device, int number)
    {
        string id = number.ToString(CultureInfo.InvariantCulture);
        string end = Socket is null ? $"null,id=chr{id}" : $"socket,id=chr{id},path={Socket},server=on,wait=off";
        string name = Name is null ? "" : $",name={Name}";
        return ["-chardev", end, "-device", $"{(Console ? "virtconsole" : "virtserialport")},bus={device}.0,nr={id},chardev=chr{id},id=port{id}{name}"];
    }

    [GeneratedRegex(@"^[0-9A-Za-z_.:-]{1,64}\z")]
    private static partial Regex NamePattern();

    [GeneratedRegex(@"^/[0-9A-Za-z_./-]{1,99}\z")]
    private static partial Regex PathPattern();
}
