using System.CommandLine;
using System.Globalization;
using Xinim.Net.Capture;
using Xinim.Net.Ip;
using Xinim.Net.Ports;

namespace Xinim.Host.Commands;

/// <summary><c>xinim net dump</c>: shows frames, or writes them to a capture file.</summary>
internal static class NetDumpCommand
{
    public static Command Create(CommandEnvironment environment)
    {
        Argument<string> nic = CommonOptions.Nic();
        Option<string?> file = new("--write") { Description = "Also write the frames to a capture file for tcpdump and Wireshark", HelpName = "FILE.pcap" };
        Option<ulong> count = CommonOptions.Count("Frames to take (default: until Ctrl-C)");
        Option<double?> seconds = CommonOptions.Seconds("How long to watch (default: until Ctrl-C)");
        Option<bool> promiscuous = CommonOptions.Promiscuous();
        Option<bool> multicast = CommonOptions.AllMulticast();
        Option<int> queues = CommonOptions.Queues();
        Option<bool> quiet = new("--quiet") { Description = "Print the number of frames only" };
        CliCommand command = new("dump", "Print received frames, one a line", "net dump net0 --promiscuous", "net dump net0 --write net0.pcap --quiet --seconds 60")
        {
            nic, file, count, seconds, promiscuous, multicast, queues, quiet,
        };
        command.SetAction(result => CommandErrors.Guard(environment, () =>
        {
            using Interruption interruption = new(environment);
            using NicQueues ports = NicQueues.Open(result, nic, queues);
            using FileStream? stream = result.GetValue(file) is { } path ? File.Create(path) : null;
            CommonOptions.SetFilters(ports.Ports[0], result.GetValue(promiscuous), result.GetValue(multicast));
            Dump dump = new(environment.Output, stream is null ? null : new PcapWriter(stream), result.GetValue(quiet), result.GetValue(count));
            TimeSpan limit = result.GetValue(seconds) is { } time ? TimeSpan.FromSeconds(time) : TimeSpan.MaxValue;
            _ = ports.Run<Dump>((number, _, end) => dump.Run(ports.Ports[number], ports.Ports.Count == 1 ? null : number, limit, end), interruption.Token);
            environment.Error.WriteLine($"{dump.Frames} frames");
            return 0;
        }));
        return command;
    }

    /// <summary>One watch, of a thread a pair of queues.</summary>
    private sealed class Dump(TextWriter output, PcapWriter? capture, bool quiet, ulong count)
    {
        private readonly Lock _lock = new();
        private ulong _frames;

        public ulong Frames => Volatile.Read(ref _frames);

        private bool Done => count != 0 && Frames >= count;

        /// <param name="queue">Stands in the lines; null where there is one pair.</param>
        public Dump Run(NetworkPort port, int? queue, TimeSpan limit, CancellationToken stop)
        {
            string label = queue is null ? "" : $" queue {queue}";
            FrameHandler take = frame => Take(frame, label);
            FrameReader reader = new(port);
            long start = Environment.TickCount64;
            while (!Done && !stop.IsCancellationRequested)
            {
                double left = limit.TotalMilliseconds - (Environment.TickCount64 - start);
                if (left <= 0) break;
                if (reader.Read(take)) continue;
                lock (_lock) output.Flush();
                port.Wait(TimeSpan.FromMilliseconds(Math.Min(left, Ipv4Station.MaxWait.TotalMilliseconds)));
            }

            return this;
        }

        private void Take(ReadOnlySpan<byte> frame, string label)
        {
            lock (_lock)
            {
                if (Done) return;
                _frames++;
                DateTimeOffset now = DateTimeOffset.UtcNow;
                capture?.Write(frame, now);
                if (!quiet) output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{now.ToLocalTime():HH:mm:ss.ffffff}{label} {FrameSummary.Describe(frame)}"));
            }
        }
    }
}
