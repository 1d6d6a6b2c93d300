using System.CommandLine;
using Xinim.Block.Clients;
using Xinim.Block.Ports;

namespace Xinim.Host.Commands;

/// <summary><c>xinim disk</c>: tools for whole disks.</summary>
internal static class DiskCommand
{
    private const string ConsentName = "--yes-destroy-data";

    public static Command Create(CommandEnvironment environment) => new CliCommand("disk", "List, read, write, trim, measure, rest and eject disks", "disk list", "disk read disk0 --length 1M --output start.img")
    {
        DiskListCommand.Create(environment),
        DiskInfoCommand.Create(environment),
        DiskReadCommand.Create(environment),
        DiskWriteCommand.Create(environment),
        DiskTrimCommand.Create(environment),
        DiskBenchCommand.Create(environment),
        DiskSmartCommand.Create(environment),
        DiskVerbCommand.Create(environment, "idle", "Let a disk rest, ready to go on at once; it wakes up by itself"),
        DiskVerbCommand.Create(environment, "standby", "Stop a disk's motor; it wakes up by itself"),
        DiskVerbCommand.Create(environment, "eject", "Open a drive's tray; whoever has the disc loses it"),
        DiskVerbCommand.Create(environment, "load", "Close a drive's tray"),
    };

    public static Argument<string> Disk() => new("DISK") { Description = "Name such as disk0 or sata0.1, or PCI address, of a disk of the daemon" };

    public static Option<ulong?> Offset() => ByteSize.Option("--offset", "Where to begin, bytes from the start of the disk (default: 0)");

    public static Option<ulong?> Length() => ByteSize.Option("--length", "Bytes (default: to the end)");

    /// <summary>Whoever writes to a disk says that it is meant.</summary>
    public static Option<bool> Consent() => new(ConsentName) { Description = "What is on the disk there is to be lost" };

    /// <exception cref="UsageException">It was not said.</exception>
    public static void RequireConsent(ParseResult result, Option<bool> consent, string what)
    {
        if (!result.GetValue(consent)) throw new UsageException($"{what} destroys data on {result.GetValue<string>("DISK")}; say {ConsentName} if that is meant");
    }

    public static BlockClient Open(ParseResult result, Argument<string> disk) => BlockClient.Open(result.GetRequiredValue(disk), new BlockPortOptions { PoolBytes = 16 << 20 }, CommonOptions.SocketOf(result));
}
