using System.CommandLine;
using Xinim.Block.Clients;
using Xinim.Block.Transfers;

namespace Xinim.Host.Commands;

/// <summary><c>xinim disk write</c>: from a file or the standard input to a disk.</summary>
internal static class DiskWriteCommand
{
    public static Command Create(CommandEnvironment environment)
    {
        Argument<string> disk = DiskCommand.Disk();
        Option<ulong?> offset = DiskCommand.Offset();
        Option<ulong?> length = ByteSize.Option("--length", "Bytes at the most (default: as many as the input has)");
        Option<string?> input = new("--input", "-i") { Description = "File to read from (default: the standard input)", HelpName = "FILE" };
        Option<bool> consent = DiskCommand.Consent();
        Option<bool> json = CommonOptions.Json();
        CliCommand command = new("write", "Copy a file or the standard input to a disk, and flush it", "disk write disk0 --input image.raw --yes-destroy-data")
        {
            disk, offset, length, input, consent, json,
        };
        command.SetAction(result => CommandErrors.Guard(environment, () =>
        {
            DiskCommand.RequireConsent(result, consent, "write");
            using Interruption interruption = new(environment);
            using Stream from = result.GetValue(input) is { } file ? File.OpenRead(file) : environment.OpenInput();
            using BlockClient client = DiskCommand.Open(result, disk);
            ulong? most = result.GetValue(length);
            BlockTransfer transfer = new(client);
            return DiskProgress.Run(
                environment, result.GetValue(json), "written", transfer.WriteAsync(result.GetValue(offset) ?? 0, most, from, interruption.Token), () => transfer.Done,
                most ?? (from.CanSeek ? (ulong)from.Length : null), false);
        }));
        return command;
    }
}
