using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using System.Text.RegularExpressions;
using Xinim.Ipc;
using Xinim.Ipc.Processes;
using Xinim.Vfio.Pci;
using Xinim.Vfio.VhostUser;

namespace Xinim.Supervisor.Configuration;

/// <summary>Turns a configuration file into settings, or into one line that names file, line, key and what is allowed.</summary>
public static partial class ConfigurationReader
{
    /// <exception cref="LinuxException">The file cannot be read or says something wrong.</exception>
    public static DaemonConfiguration Read(string file)
    {
        string text;
        try
        {
            text = File.ReadAllText(file);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new LinuxException($"cannot read the configuration {file}: {exception.Message}");
        }

        return Parse(text, file);
    }

    /// <param name="text">JSON; comments and trailing commas are allowed.</param>
    /// <param name="file">For messages.</param>
    public static DaemonConfiguration Parse(string text, string file)
    {
        DaemonConfiguration configuration;
        try
        {
            configuration = JsonSerializer.Deserialize(text, ConfigurationJson.Default.DaemonConfiguration) ?? throw new JsonException("the file is empty");
        }
        catch (JsonException exception)
        {
            throw JsonProblem.In(file, exception, KeysAt(exception.Path));
        }

        Check(configuration, text, file);
        return configuration;
    }

    private static void Check(DaemonConfiguration configuration, string text, string file)
    {
        HashSet<string> names = new(StringComparer.Ordinal);
        HashSet<string> addresses = new(StringComparer.Ordinal);
        foreach (DeviceConfiguration? device in configuration.Devices)
        {
            if (device is null) throw At("devices", "a device is null; write { \"device\": \"0000:00:03.0\" }");
            bool remote = RemotePattern().IsMatch(device.Device);
            // A model is started for each mention; everything else is one device.
            if (!remote && !addresses.Add(IdentityOf(device.Device))) throw At(device.Device, $"device {device.Device} stands twice");
            if (!remote && (device.Netdev is not null || device.Drives.Count + device.Properties.Count + device.Ports.Count > 0)) throw At(device.Device, "'netdev', 'drives', 'properties' and 'ports' are for remote devices only");
            foreach (int number in device.Processors)
                if (!Affinity.Allows(number)) throw At("processors", $"'processors' of {device.Device} has {number}; the daemon may use {Affinity.Allowed}");
            if (device.Restart?.Problem() is { } problem) throw At("restart", $"'restart' of {device.Device}: {problem}");
            if (device.Name is not { } name) continue;
            if (!NamePattern().IsMatch(name)) throw At(name, $"name '{name}' is not allowed; use 1 to 15 letters, digits, '-' and '_', a letter first");
            if (!names.Add(name)) throw At(name, $"name '{name}' stands twice");
        }

        if (configuration.DriverUserBase is < 1000 or > 65_000)
            throw At("driverUserBase", $"'driverUserBase' is {configuration.DriverUserBase}; allowed: 1000 to 65000");

        // 00:03.0 and 0000:00:03.0 are one device.
        string IdentityOf(string device)
        {
            if (PciAddress.TryParse(device, out PciAddress address)) return address.ToString();
            if (!VhostUserAddress.IsOne(device))
                throw At(device, $"device '{device}' is neither a PCI address such as 0000:00:03.0 nor remote:MODEL such as remote:e1000 nor vhost-user-net:PATH nor vhost-user-blk:PATH");
            try
            {
                return VhostUserAddress.Parse(device).Path;
            }
            catch (LinuxException exception)
            {
                throw At(device, exception.Message);
            }
        }

        LinuxException At(string mark, string message)
        {
            int place = text.LastIndexOf($"\"{mark}\"", StringComparison.Ordinal);
            int line = 1 + text.AsSpan(0, Math.Max(place, 0)).Count('\n');
            return new LinuxException($"{file}:{line}: {message}");
        }
    }

    private static IEnumerable<string> KeysAt(string? path)
    {
        JsonTypeInfo type = path?.Contains("].restart", StringComparison.Ordinal) == true ? ConfigurationJson.Default.RestartSettings
            : path?.Contains("].ports[", StringComparison.Ordinal) == true ? ConfigurationJson.Default.RemotePort
            : path?.Contains("devices[", StringComparison.Ordinal) == true ? ConfigurationJson.Default.DeviceConfiguration
            : ConfigurationJson.Default.DaemonConfiguration;
        return type.Properties.Select(property => property.Name);
    }

    [GeneratedRegex("^remote:[a-z0-9][a-z0-9._-]{0,47}$")]
    private static partial Regex RemotePattern();

    [GeneratedRegex("^[A-Za-z][A-Za-z0-9_-]{0,14}$")]
    private static partial Regex NamePattern();
}
