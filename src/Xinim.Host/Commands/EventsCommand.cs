using System.CommandLine;
using System.Globalization;
using Xinim.Supervisor.Events;
using Xinim.Supervisor.Policy;

namespace Xinim.Host.Commands;

/// <summary><c>xinim events</c>: what has happened to devices and drivers, and why.</summary>
internal static class EventsCommand
{
    /// <summary>Between two questions for new events.</summary>
    private static readonly TimeSpan Period = TimeSpan.FromMilliseconds(250);

    public static Command Create(CommandEnvironment environment)
    {
        Argument<string?> device = new("NAME") { Description = "Only of this device", Arity = ArgumentArity.ZeroOrOne };
        Option<bool> follow = new("--follow") { Description = "Go on with what happens from now on, until Ctrl-C or the daemon's end" };
        Option<bool> json = new("--json") { Description = "Print one JSON object a line" };
        CliCommand command = new("events", "Show what has happened to devices and their drivers, and why", "events", "events net0 --follow --json") { device, follow, json };
        command.SetAction(result => CommandErrors.Guard(environment, () =>
        {
            using Interruption interruption = new(environment);
            using DaemonLink daemon = DaemonLink.Connect(CommonOptions.SocketOf(result));
            EventReader reader = new(daemon);
            string? name = result.GetValue(device);
            bool asJson = result.GetValue(json);
            do
            {
                foreach (DeviceEvent one in reader.ReadNew().Where(one => name is null || one.Device == name))
                    environment.Output.WriteLine(asJson ? one.ToJson() : Describe(one));
                if (reader.TakeMissed() is > 0 and var missed) environment.Error.WriteLine($"xinim: note: {missed} older events are not kept any more");
                environment.Output.Flush();
            }
            while (result.GetValue(follow) && !interruption.Token.WaitHandle.WaitOne(Period));
            return 0;
        }));
        return command;
    }

    /// <summary>One line.</summary>
    public static string Describe(DeviceEvent what, string timeFormat = "yyyy-MM-dd HH:mm:ss.fff")
    {
        string kind = what.Fault == FaultKind.None ? what.Kind.ToString() : $"{what.Kind} ({what.Fault})";
        return string.Create(CultureInfo.InvariantCulture, $"{what.Time.ToLocalTime().ToString(timeFormat, CultureInfo.InvariantCulture)} {what.Device} {kind}: {what.Text}");
    }
}

/// <summary>Reads the daemon's events in order, each once.</summary>
internal sealed class EventReader(DaemonLink daemon)
{
    private ulong _last;
    private ulong _missed;

    /// <summary>All events since the last call.</summary>
    public IReadOnlyList<DeviceEvent> ReadNew()
    {
        List<DeviceEvent> events = [];
        while (true)
        {
            EventPage page = daemon.Events(_last);
            if (page.Events.Count == 0) return events;
            if (page.First > _last + 1) _missed += page.First - _last - 1;
            _last = page.Events[^1].Number;
            events.AddRange(page.Events);
        }
    }

    /// <summary>How many the daemon had dropped before they were read, since the last call.</summary>
    public ulong TakeMissed()
    {
        ulong missed = _missed;
        _missed = 0;
        return missed;
    }
}
