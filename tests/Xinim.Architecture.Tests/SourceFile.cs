namespace Xinim.Architecture.Tests;

/// <summary>One file of a <see cref="SourceTree"/>, with its lines as written and as the compiler sees them.</summary>
internal sealed class SourceFile(string path, string text)
{
    private string[]? _code;

    public string Path { get; } = path;

    public string Text { get; } = text;

    /// <summary>Lines as written.</summary>
    public string[] Lines { get; } = text.TrimEnd('\n').Split('\n');

    /// <summary>Lines with comments, strings and characters blanked out: a rule about code is not tripped by prose.</summary>
    public string[] Code => _code ??= CodeText.Blank(Text).TrimEnd('\n').Split('\n');

    /// <summary>"Xinim.Ipc" for "src/Xinim.Ipc/Rings/MessageRing.cs".</summary>
    public string Project => Path.Split('/') is [_, var project, _, ..] ? project : "";

    public string Name => Path[(Path.LastIndexOf('/') + 1)..];

    public string Folder => Path[..Math.Max(0, Path.LastIndexOf('/'))];

    public string At(int line, string what) => $"{Path}:{line + 1}: {what}";
}
