using Spectre.Console;
using Spectre.Console.Rendering;

namespace Xinim.Host.Commands;

/// <summary>A table without lines: readable, and cut up by awk.</summary>
internal static class CommandTable
{
    // Wide enough that nothing is wrapped where nobody reads it on a screen.
    private const int Unlimited = 1000;

    public static void Write(CommandEnvironment environment, IReadOnlyList<string> headers, IEnumerable<IReadOnlyList<string>> rows)
    {
        Table table = new() { Border = TableBorder.None };
        foreach (string header in headers) table.AddColumn(new TableColumn(new Text(header)) { NoWrap = environment.Width is null, Padding = new Padding(0, 0, 2, 0) });
        foreach (IReadOnlyList<string> row in rows) table.AddRow(row.Select(IRenderable (cell) => new Text(cell)));
        IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings
        {
            Ansi = AnsiSupport.No,
            ColorSystem = ColorSystemSupport.NoColors,
            Interactive = InteractionSupport.No,
            Out = new AnsiConsoleOutput(environment.Output),
        });
        console.Profile.Width = environment.Width ?? Unlimited;
        console.Write(table);
    }
}
