using System.CommandLine;
using Xinim.Block.Clients;
using Xinim.Block.Transfers;

namespace Xinim.Host.Commands;

/// <summary><c>xinim disk read</c>: from a disk to a file or the standard output.</summary>
internal static class DiskReadCommand
{
    public static Command Create(CommandEnvironment environment)
    {
        Argument<string> disk = DiskCommand.Disk();
        Option<ulong?> offset = DiskCommand.Offset();
        Option<ulong?> length = DiskCommand.Length();
        Option<string?> output = new("--output", "-o") { Description = "File to write to (default: the standard output)", HelpName = "FILE" };
        Option<bool> json = CommonOptions.Json();
        CliCommand command = new("read", "Copy from a disk to a file or the standard output", "disk read disk0 --length 512 | xxd", "disk read disk0 --offset 1G --length 64M --output part.img")
        {
            disk, offset, length, output, json,
        };
        command.SetAction(result => CommandErrors.Guard(environment, () =>
        {
            using Interruption interruption = new(environment);
            using BlockClient client = DiskCommand.Open(result, disk);
            string? file = result.GetValue(output);
            ulong from = result.GetValue(offset) ?? 0;
            ulong bytes = result.GetValue(length) ?? (client.Info.Bytes - Math.Min(from, client.Info.Bytes));
            using Stream to = file is null ? environment.OpenOutput() : File.Create(file);
            BlockTransfer transfer = new(client);
            return DiskProgress.Run(environment, result.GetValue(json), "read", transfer.ReadAsync(from, bytes, to, interruption.Token), () => transfer.Done, bytes, file is null);
        }));
        return command;
    }
}
