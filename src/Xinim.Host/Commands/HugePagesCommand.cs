using System.CommandLine;
using System.Globalization;
using Xinim.Vfio.Dma;

namespace Xinim.Host.Commands;

/// <summary><c>xinim hugepages</c>: shows or fills the kernel's pools.</summary>
internal static class HugePagesCommand
{
    public static Command Create(CommandEnvironment environment)
    {
        Argument<long?> count = new("COUNT") { Description = "Pages that the pool is to have at least; without it, the pools are shown", Arity = ArgumentArity.ZeroOrOne };
        Option<string> size = new("--size") { Description = "Size of a page", HelpName = "2M|1G", DefaultValueFactory = _ => "2M" };
        size.AcceptOnlyFromAmong("2M", "1G");
        CliCommand command = new("hugepages", "Show or reserve huge pages for packet memory (reserving: as root)", "hugepages", "hugepages 128", "hugepages 2 --size 1G") { count, size };
        command.SetAction(result => CommandErrors.Guard(environment, () =>
        {
            HugePages pools = new(environment.Paths.SysfsRoot, environment.ProcRoot, environment.WriteAttribute);
            return result.GetValue(count) is { } wanted
                ? Reserve(environment, pools, wanted, result.GetValue(size) == "1G" ? HugePages.OneGiB : HugePages.TwoMiB)
                : Show(environment, pools.Read());
        }));
        return command;
    }

    private static int Show(CommandEnvironment environment, IReadOnlyList<HugePagePool> pools)
    {
        if (pools.Count == 0) return CommandErrors.Say(environment, "this kernel has no huge pages", CommandErrors.Failed);
        foreach (HugePagePool pool in pools) environment.Output.WriteLine(Describe(pool));
        return 0;
    }

    private static int Reserve(CommandEnvironment environment, HugePages pools, long wanted, long pageSize)
    {
        if (wanted < 0) throw new UsageException($"{wanted} pages: a pool has 0 or more");
        HugePageReservation reservation = pools.Reserve(wanted, pageSize);
        environment.Output.WriteLine(Describe(reservation.Pool));
        return reservation.Reason is { } reason ? CommandErrors.Say(environment, reason, CommandErrors.Failed) : 0;
    }

    private static string Describe(HugePagePool pool)
        => string.Create(CultureInfo.InvariantCulture, $"{pool.PageSize >> 20} MiB: {pool.Total} pages, {pool.Free} free");
}
