using System.Text;

namespace Xinim.Host.Top;

/// <summary>
/// The terminal of <c>xinim top</c>: its other screen for as long as it runs. A picture goes out as one write that overwrites the former
/// line by line, so nothing flickers.
/// </summary>
internal sealed class TopScreen : IDisposable
{
    private const string Enter = "\e[?1049h\e[?25l\e[2J", Leave = "\e[?25h\e[?1049l";

    private readonly TextWriter _output;

    public TopScreen(TextWriter output)
    {
        _output = output;
        _output.Write(Enter);
    }

    public static (int Width, int Height) Size => (Math.Max(Console.WindowWidth, 20), Math.Max(Console.WindowHeight, 5));

    /// <summary>The next key that waits; null where none does.</summary>
    public static ConsoleKeyInfo? Key() => Console.KeyAvailable ? Console.ReadKey(intercept: true) : null;

    public void Show(IReadOnlyList<string> lines)
    {
        StringBuilder picture = new();
        for (int i = 0; i < lines.Count; i++) picture.Append("\e[").Append(i + 1).Append(";1H").Append(lines[i]).Append("\e[0m\e[K");
        picture.Append("\e[J");
        _output.Write(picture);
        _output.Flush();
    }

    public void Dispose()
    {
        _output.Write(Leave);
        _output.Flush();
    }
}
