using System.CommandLine;
using Xinim.Block.Clients;
using Xinim.Ipc.Protocols;

namespace Xinim.Host.Commands;

/// <summary><c>xinim disk trim</c>: gives blocks up, or makes them zeroes.</summary>
internal static class DiskTrimCommand
{
    public static Command Create(CommandEnvironment environment)
    {
        Argument<string> disk = DiskCommand.Disk();
        Option<ulong?> offset = DiskCommand.Offset();
        Option<ulong?> length = DiskCommand.Length();
        Option<bool> zeroes = new("--zeroes") { Description = "The blocks are zeroes afterwards, instead of anything" };
        Option<bool> consent = DiskCommand.Consent();
        Option<bool> json = CommonOptions.Json();
        CliCommand command = new("trim", "Discard blocks of a disk: their contents are not needed any more", "disk trim disk0 --offset 1M --length 1G --yes-destroy-data")
        {
            disk, offset, length, zeroes, consent, json,
        };
        command.SetAction(result => CommandErrors.Guard(environment, () =>
        {
            DiskCommand.RequireConsent(result, consent, "trim");
            using Interruption interruption = new(environment);
            using BlockClient client = DiskCommand.Open(result, disk);
            BlockDeviceInfo info = client.Info;
            bool zero = result.GetValue(zeroes);
            if (!info.Has(zero ? BlockFeatures.WriteZeroes : BlockFeatures.Discard)) return CommandErrors.Say(environment, $"this disk cannot {(zero ? "write zeroes" : "discard blocks")}", CommandErrors.Failed);
            ulong from = result.GetValue(offset) ?? 0;
            ulong bytes = result.GetValue(length) ?? (info.Bytes - Math.Min(from, info.Bytes));
            if (from % info.LogicalBlockBytes != 0 || bytes % info.LogicalBlockBytes != 0)
                throw new UsageException($"offset {from} and length {bytes}; both are multiples of the disk's blocks of {info.LogicalBlockBytes} bytes");
            ulong lba = from / info.LogicalBlockBytes, count = bytes / info.LogicalBlockBytes;
            ValueTask task = zero ? client.WriteZeroesAsync(lba, count, mayUnmap: true, interruption.Token) : client.DiscardAsync(lba, count, interruption.Token);
            Task all = task.AsTask();
            return DiskProgress.Run(environment, result.GetValue(json), zero ? "zeroed" : "discarded", all, () => all.IsCompletedSuccessfully ? (long)bytes : 0, bytes, false);
        }));
        return command;
    }
}
