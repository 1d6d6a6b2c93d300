using Xinim.Faults.Campaigns;
using Xinim.Faults.Traffic;

namespace Xinim.Faults.Model;

/// <summary>
/// Campaigns beside each other: each has devices of its own and a part of the numbers without a gap, all write into one ledger and one report. So the sum needs
/// no adding up, and each fault is repeated by its seed and number as if there had been one campaign.
/// </summary>
internal static class ModelJobs
{
    /// <param name="jobs">How many; as many threads.</param>
    /// <param name="first">Number of the first fault.</param>
    /// <param name="progress">Told now and then, by any of the threads.</param>
    /// <returns>All frames from and to clients.</returns>
    public static (StreamCounts Tx, StreamCounts Rx) Run(
        int jobs, CampaignOptions options, ModelSet models, IReadOnlyList<ModelFault> faults, Ledger ledger, Report report, long first, Action progress)
    {
        IEnumerable<Task<(StreamCounts Tx, StreamCounts Rx)>> parts = Enumerable.Range(0, jobs).Select(job =>
        {
            (long begin, long end) = (options.Count * job / jobs, options.Count * (job + 1) / jobs);
            return Task.Factory.StartNew(() => One(options with { Count = end - begin }, first + begin), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        });
        return Task.WhenAll(parts).GetAwaiter().GetResult().Aggregate((sum, part) => (sum.Tx + part.Tx, sum.Rx + part.Rx));

        (StreamCounts, StreamCounts) One(CampaignOptions part, long from)
        {
            using ModelCampaign campaign = new(part, models, faults, ledger, report);
            campaign.Run(from, progress);
            return (campaign.Tx, campaign.Rx);
        }
    }
}
