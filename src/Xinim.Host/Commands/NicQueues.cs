using System.CommandLine;
using System.Runtime.ExceptionServices;
using Xinim.Net.Ports;

namespace Xinim.Host.Commands;

/// <summary>The pairs of queues of a NIC that a command has opened, for a thread each.</summary>
internal sealed class NicQueues : IDisposable
{
    private NicQueues(IReadOnlyList<NetworkPort> ports) => Ports = ports;

    /// <summary>One a pair.</summary>
    public IReadOnlyList<NetworkPort> Ports { get; }

    /// <exception cref="NetworkPortException">No such device, it is in use, or it has fewer pairs.</exception>
    public static NicQueues Open(ParseResult result, Argument<string> nic, Option<int> queues, NetworkPortOptions? options = null)
        => new(NetworkPort.OpenQueues(result.GetRequiredValue(nic), result.GetValue(queues), options, CommonOptions.SocketOf(result)));

    /// <summary>
    /// Works on all pairs at once, the first on the caller's thread. When one fails, the others are stopped; the first failure is the caller's.
    /// </summary>
    /// <param name="work">Given the pair's number, whom to tell each second, and when to end.</param>
    /// <param name="stop">The user's wish.</param>
    /// <param name="progress">Told each second what each has reported last; null: nobody watches.</param>
    /// <returns>What each made of it.</returns>
    public TReport[] Run<TReport>(Func<int, Action<TReport>?, CancellationToken, TReport> work, CancellationToken stop, Action<IReadOnlyCollection<TReport>>? progress = null)
        where TReport : class
    {
        using CancellationTokenSource end = CancellationTokenSource.CreateLinkedTokenSource(stop);
        TReport?[] reports = new TReport?[Ports.Count];
        ExceptionDispatchInfo? failure = null;
        void Work(int queue)
        {
            try
            {
                reports[queue] = work(queue, progress is null ? null : report => Tell(queue, report), end.Token);
            }
            catch (Exception exception)
            {
                Interlocked.CompareExchange(ref failure, ExceptionDispatchInfo.Capture(exception), null);
                end.Cancel();
            }
        }

        void Tell(int queue, TReport report)
        {
            Volatile.Write(ref reports[queue], report);
            if (queue == 0) progress!([.. reports.OfType<TReport>()]);
        }

        Thread[] others = [.. Enumerable.Range(1, Ports.Count - 1).Select(queue => new Thread(() => Work(queue)) { Name = $"queues {queue}" })];
        foreach (Thread other in others) other.Start();
        Work(0);
        foreach (Thread other in others) other.Join();
        failure?.Throw();
        return reports!;
    }

    public void Dispose()
    {
        foreach (NetworkPort port in Ports) port.Dispose();
    }
}
