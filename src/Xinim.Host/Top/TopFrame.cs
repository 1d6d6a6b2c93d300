using System.Globalization;
using System.Text;
using Spectre.Console;
using Xinim.Host.Commands;
using Xinim.Supervisor.Events;

namespace Xinim.Host.Top;

/// <summary>One picture of <c>xinim top</c>, as lines of text with their colours.</summary>
internal static class TopFrame
{
    private static readonly Style Heading = new(decoration: Decoration.Bold);
    private static readonly Style Alarm = new(Color.Red);
    private static readonly Style Quiet = new(decoration: Decoration.Dim);

    /// <param name="width">Columns; the last one stays free, so that no terminal wraps.</param>
    /// <param name="height">Lines at the most.</param>
    /// <param name="colours">The lines carry escape sequences.</param>
    /// <param name="keys">Name the keys at the end.</param>
    public static IReadOnlyList<string> Draw(TopState state, int width, int height, bool colours, bool keys)
    {
        Canvas canvas = new(Math.Max(width - 1, 10), colours);
        canvas.Line(Title(state), Heading);
        if (state.Problem is { } problem) canvas.Line($"waiting for the daemon: {problem}", Alarm);
        if (state.Report is { Devices.Count: > 0 })
        {
            canvas.Blank();
            canvas.Table(TopColumns.Build(state, canvas.Width));
            canvas.Blank();
            if (state.Selected is { } device) canvas.Line(device.LastFault is null ? $"{device.Name}: no fault" : $"{device.Name}: {TopColumns.Fault(device, DateTimeOffset.UtcNow)}: {device.LastFault}", Style.Plain);
        }
        else if (state.Report is not null)
        {
            canvas.Line("no devices", Quiet);
        }

        int foot = keys ? 1 : 0;
        int room = height - canvas.Count - 1 - foot;
        if (room > 0 && state.Events.Count > 0)
        {
            canvas.Line("EVENTS", Heading);
            foreach (DeviceEvent one in state.Events.TakeLast(room)) canvas.Line(EventsCommand.Describe(one, "HH:mm:ss"), StyleOf(one.Kind));
        }

        if (!keys) return canvas.Lines(height);
        List<string> lines = [.. canvas.Lines(height - foot)];
        Canvas last = new(canvas.Width, colours);
        last.Line($"{(state.Notice is { } notice ? $"{notice}   " : "")}q quit   up/down select   r restart {state.Selected?.Name}", state.Notice is null ? Quiet : Style.Plain);
        while (lines.Count < height - foot) lines.Add("");
        return [.. lines, .. last.Lines(foot)];
    }

    private static string Title(TopState state) => state.Report is not { } report ? "xinim top"
        : string.Create(CultureInfo.InvariantCulture, $"xinim top: daemon {report.DaemonPid}, up {TimeSpan.FromSeconds(Math.Floor(report.UptimeSeconds)):c}, {report.Devices.Count} {(report.Devices.Count == 1 ? "device" : "devices")}");

    private static Style StyleOf(EventKind kind) => kind switch
    {
        EventKind.Failed or EventKind.GivenUp or EventKind.RolledBack or EventKind.Gone => Alarm,
        _ => Style.Plain,
    };

    /// <summary>Lines made by Spectre.Console, of a width that is not exceeded.</summary>
    private sealed class Canvas
    {
        private readonly StringBuilder _text = new();
        private readonly IAnsiConsole _console;

        public Canvas(int width, bool colours)
        {
            Width = width;
            _console = AnsiConsole.Create(new AnsiConsoleSettings
            {
                Ansi = colours ? AnsiSupport.Yes : AnsiSupport.No,
                ColorSystem = colours ? ColorSystemSupport.Standard : ColorSystemSupport.NoColors,
                Interactive = InteractionSupport.No,
                Out = new AnsiConsoleOutput(new StringWriter(_text)),
            });
            _console.Profile.Width = width;
            _console.Profile.Height = int.MaxValue;
        }

        public int Width { get; }

        public int Count => Whole().Length;

        public void Line(string text, Style style) => _console.Write(new Text((text.Length > Width ? text[..(Width - 1)] + "…" : text) + "\n", style));

        public void Blank() => Line("", Style.Plain);

        public void Table(Table table) => _console.Write(table);

        public IReadOnlyList<string> Lines(int most) => [.. Whole().Take(Math.Max(most, 0))];

        private string[] Whole() => _text.ToString().TrimEnd('\n').ReplaceLineEndings("\n").Split('\n');
    }
}
