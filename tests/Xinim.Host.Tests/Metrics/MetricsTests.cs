using System.Globalization;
using System.Text.RegularExpressions;
using Xinim.Host.Tests.Commands;
using Xinim.Supervisor.Status;
using Xinim.TestKit.Net;

namespace Xinim.Host.Tests.Metrics;

/// <summary>What Prometheus gets, read by the rules of its text format 0.0.4.</summary>
public sealed partial class MetricsTests
{
    private static readonly string[] Expected =
    [
        "target_info gauge", "xinim_daemon_uptime_seconds gauge", "xinim_driver_doorbells_total counter", "xinim_driver_faults_total counter", "xinim_driver_generation gauge",
        "xinim_driver_interrupts_total counter", "xinim_driver_recovery_duration_seconds gauge", "xinim_driver_restarts_total counter", "xinim_driver_state gauge",
        "xinim_net_bytes_total counter", "xinim_net_errors_total counter", "xinim_net_frames_total counter", "xinim_net_link_up gauge",
        "xinim_net_transmit_latency_seconds gauge", "xinim_up gauge",
    ];

    [Fact]
    public void A_report_becomes_metrics_with_names_types_and_labels()
    {
        Exposition found = Scrape(Reports.Of(Reports.Device("net0"), Reports.Device("net1") with { Link = "down" }));
        Assert.Equal(Expected, found.Types.Order(StringComparer.Ordinal));
        Assert.Equal(1, found["xinim_up"]);
        Assert.Equal(3661.5, found["xinim_daemon_uptime_seconds"]);
        Assert.Equal(34, found["xinim_net_frames_total", "net0", ("direction", "transmit")]);
        Assert.Equal(12, found["xinim_net_frames_total", "net1", ("direction", "receive")]);
        Assert.Equal(2040, found["xinim_net_bytes_total", "net0", ("direction", "transmit")]);
        Assert.Equal(2, found["xinim_net_errors_total", "net0", ("direction", "transmit"), ("kind", "failed")]);
        Assert.Equal((1, 0), (found["xinim_net_link_up", "net0"], found["xinim_net_link_up", "net1"]));
        Assert.Equal((1, 0), (found["xinim_driver_state", "net0", ("state", "Ready")], found["xinim_driver_state", "net0", ("state", "Failed")]));
        Assert.Equal((2, 0), (found["xinim_driver_faults_total", "net0", ("kind", "Signal")], found["xinim_driver_faults_total", "net0", ("kind", "Hang")]));
        Assert.Equal(2, found["xinim_driver_restarts_total", "net0"]);
        Assert.Equal(0.0041, found["xinim_driver_recovery_duration_seconds", "net0", ("step", "bring_up")], 9);
        Assert.Equal(0.00002, found["xinim_net_transmit_latency_seconds", "net0", ("quantile", "0.99")], 9);
    }

    [Fact]
    public void Each_disk_of_a_controller_has_its_own_metrics()
    {
        Exposition found = Scrape(Reports.Of(Reports.Controller("sata0") with { Driver = "e1000" }));
        Assert.Equal((5, 6), (found["xinim_block_requests_total", "sata0.1", ("operation", "read")], found["xinim_block_requests_total", "sata0.1", ("operation", "write")]));
        Assert.Equal(2560, found["xinim_block_bytes_total", "sata0.1", ("operation", "read")]);
        Assert.Equal((8388608, 1, 61), (found["xinim_block_size_bytes", "sata0.1"], found["xinim_block_failing", "sata0.1"], found["xinim_block_temperature_celsius", "sata0.1"]));
        Assert.Throws<KeyNotFoundException>(() => found["xinim_block_bytes_total", "sata0.0", ("operation", "read")]);
    }

    [Fact]
    public void Names_are_escaped()
    {
        const string Name = "a \"b\" \\ c\nd é";
        Exposition found = Scrape(Reports.Of(Reports.Device(Name)));
        Assert.Equal(3, found["xinim_driver_generation", Name]);
    }

    [Fact]
    public void A_daemon_that_is_not_there_is_down_and_nothing_else()
    {
        using FakeMachine machine = new();
        Assert.Equal(0, machine.Run("metrics", "--once", "--socket", "/nonexistent/xinim.sock"));
        Exposition found = Exposition.Parse(machine.Output.ToString());
        Assert.Equal(["target_info gauge", "xinim_up gauge"], found.Types.Order(StringComparer.Ordinal));
        Assert.Equal(0, found["xinim_up"]);
    }

    private static Exposition Scrape(StatusReport report)
    {
        using FakeMachine machine = new();
        using FakeDaemon daemon = new() { StatusJson = report.ToJson() };
        Assert.Equal(0, machine.Run("metrics", "--once", "--socket", daemon.Socket));
        return Exposition.Parse(machine.Output.ToString());
    }

    /// <summary>A parsed page. Refuses lines that the format does not have, samples before their type and samples that come twice.</summary>
    private sealed partial class Exposition
    {
        private readonly Dictionary<string, string> _types = [];
        private readonly Dictionary<string, double> _samples = [];

        public IEnumerable<string> Types => _types.Select(type => $"{type.Key} {type.Value}");

        public double this[string name] => _samples[Key(name, [])];

        public double this[string name, string device, params (string Name, string Value)[] labels] => _samples[Key(name, [("device", device), ("driver", "e1000"), .. labels])];

        public static Exposition Parse(string text)
        {
            Exposition found = new();
            Assert.EndsWith("\n", text, StringComparison.Ordinal);
            foreach (string line in text.Split('\n', StringSplitOptions.RemoveEmptyEntries))
            {
                if (TypeLine().Match(line) is { Success: true } type) found._types.Add(type.Groups[1].Value, type.Groups[2].Value);
                else if (line.StartsWith("# HELP ", StringComparison.Ordinal)) Assert.Contains(line.Split(' ')[2], found._types);
                else found.AddSample(line);
            }

            return found;
        }

        private void AddSample(string line)
        {
            Match sample = SampleLine().Match(line);
            Assert.True(sample.Success, $"no sample: {line}");
            string name = sample.Groups["name"].Value;
            Assert.Contains(name, _types);
            List<(string, string)> labels = [];
            foreach (Match label in Label().Matches(sample.Groups["labels"].Value))
                labels.Add((label.Groups[1].Value, Escape().Replace(label.Groups[2].Value, escape => escape.Groups[1].Value == "n" ? "\n" : escape.Groups[1].Value)));
            _samples.Add(Key(name, labels), double.Parse(sample.Groups["value"].Value, CultureInfo.InvariantCulture));
        }

        private static string Key(string name, IEnumerable<(string Name, string Value)> labels)
            => $"{name} {string.Join(' ', labels.Where(label => label.Name != "otel_scope_name").OrderBy(label => label.Name, StringComparer.Ordinal))}";

        [GeneratedRegex(@"^# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|gauge|histogram|summary|untyped)$")]
        private static partial Regex TypeLine();

        [GeneratedRegex("""^(?<name>[a-zA-Z_:][a-zA-Z0-9_:]*)(\{(?<labels>([a-zA-Z_][a-zA-Z0-9_]*="([^"\\]|\\["\\n])*",?)*)\})? (?<value>[-+0-9.eE]+)$""")]
        private static partial Regex SampleLine();

        [GeneratedRegex("""([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\["\\n])*)",?""")]
        private static partial Regex Label();

        [GeneratedRegex("""\\(.)""")]
        private static partial Regex Escape();
    }
}
