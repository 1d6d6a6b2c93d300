using System.CommandLine;
using System.Globalization;
using Xinim.Ipc.Protocols;
using Xinim.Net.Ports;
using Xinim.Vfio.Pci;

namespace Xinim.Host.Commands;

/// <summary>Options and arguments that several commands have, and how their texts are read.</summary>
internal static class CommonOptions
{
    private const string SocketName = "--socket";

    /// <summary>Of the root command, for all.</summary>
    public static Option<string?> Socket() => new(SocketName)
    {
        Description = "The daemon's socket (default: $XINIM_SOCKET, the system's, or this user's own)",
        HelpName = "PATH",
        Recursive = true,
    };

    /// <summary>Null where the usual one is meant.</summary>
    public static string? SocketOf(ParseResult result) => result.GetValue<string?>(SocketName);

    public static Option<bool> Json() => new("--json") { Description = "Print JSON" };

    public static Option<string?> Drivers() => new("--drivers") { Description = "Folder of driver manifests (default: drivers, beside this program)", HelpName = "FOLDER" };

    public static Argument<string> Nic() => new("NIC") { Description = "Name such as net0, or PCI address, of a device of the daemon" };

    public static Argument<string> Address() => new("ADDRESS") { Description = "PCI address such as 0000:00:03.0 or 00:03.0" };

    public static Option<bool> Promiscuous() => new("--promiscuous") { Description = "Take every frame, whomever it is for" };

    public static Option<bool> AllMulticast() => new("--all-multicast") { Description = "Take the frames of every group" };

    public static Option<ulong> Count(string description) => new("--count") { Description = description, HelpName = "N" };

    public static Option<double?> Seconds(string description) => AtLeast(new Option<double?>("--seconds") { Description = description, HelpName = "S" }, 0);

    /// <summary>Refuses smaller values, and larger ones than make sense for a time.</summary>
    public static Option<double?> AtLeast(Option<double?> option, double least) => Checked(option, value => value is null || (value >= least && value <= 1e9), least);

    /// <inheritdoc cref="AtLeast(Option{double?}, double)"/>
    public static Option<double> AtLeast(Option<double> option, double least) => Checked(option, value => value >= least && value <= 1e9, least);

    /// <summary>Refuses values outside a range.</summary>
    public static Option<int> Between(Option<int> option, int least, int most)
    {
        option.Validators.Add(result =>
        {
            if (result.Tokens.Count == 1 && int.TryParse(result.Tokens[0].Value, CultureInfo.InvariantCulture, out int value) && (value < least || value > most))
                result.AddError($"{option.Name} {value}: allowed are {least} to {most}");
        });
        return option;
    }

    /// <exception cref="UsageException">No address.</exception>
    public static PciAddress ReadAddress(string text)
        => PciAddress.TryParse(text, out PciAddress address) ? address : throw new UsageException($"'{text}' is not a PCI address such as 0000:00:03.0 or 00:03.0");

    /// <exception cref="UsageException">No address.</exception>
    public static MacAddress ReadMac(string text)
    {
        string[] parts = text.Split(':');
        Span<byte> bytes = stackalloc byte[6];
        bool right = parts.Length == bytes.Length;
        for (int i = 0; right && i < bytes.Length; i++)
            right = parts[i].Length == 2 && byte.TryParse(parts[i], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out bytes[i]);
        return right ? MacAddress.From(bytes) : throw new UsageException($"'{text}' is not a MAC address such as 52:54:00:12:34:56");
    }

    /// <summary>Opens a NIC for a client command.</summary>
    public static NetworkPort OpenNic(ParseResult result, Argument<string> nic, NetworkPortOptions? options = null)
        => NetworkPort.Open(result.GetRequiredValue(nic), options, SocketOf(result));

    public static Option<int> Queues() => Between(
        new Option<int>("--queues") { Description = $"Pairs of the NIC's queues, each with a thread: 1 to {NetworkRings.MaxPairs}, no more than it has", HelpName = "N", DefaultValueFactory = _ => 1 }, 1, (int)NetworkRings.MaxPairs);

    /// <summary>Sets what a NIC receives, where it is not the default.</summary>
    public static void SetFilters(NetworkPort port, bool promiscuous, bool allMulticast, MacAddress? also = null)
    {
        NetworkFilters filters = new()
        {
            Flags = (promiscuous ? NetworkFilterFlags.Promiscuous : 0) | (allMulticast ? NetworkFilterFlags.AllMulticast : 0),
            MaxFrame = 0,
        };
        if (also is { } mac)
        {
            filters.UnicastCount = 1;
            filters.Unicast[0] = mac;
        }

        if (filters.Flags != 0 || filters.UnicastCount != 0) port.SetFilters(filters);
    }

    private static Option<T> Checked<T>(Option<T> option, Func<double?, bool> isRight, double least)
    {
        option.Validators.Add(result =>
        {
            if (result.Tokens.Count != 1) return;
            string text = result.Tokens[0].Value;
            // Without this 1,5 would be 15: the parser behind the option skips commas.
            if (!double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out double value))
                result.AddError($"{option.Name} {text}: not a number such as 1.5");
            else if (!isRight(value))
                result.AddError(string.Create(CultureInfo.InvariantCulture, $"{option.Name} {value}: allowed is {least} and more"));
        });
        return option;
    }
}
