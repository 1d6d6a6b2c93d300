using System.Text.RegularExpressions;

namespace Xinim.Architecture.Tests.Rules;

/// <summary>Where files stand and how long they get.</summary>
internal static partial class LayoutRules
{
    private const int MaxLines = 400;

    /// <summary>A file that outgrows a few screens does more than one thing.</summary>
    public static IEnumerable<string> FileLengths(SourceTree tree) =>
        from file in tree.Under("", "")
        where file.Path.EndsWith(".cs", StringComparison.Ordinal) || file.Path.EndsWith(".sh", StringComparison.Ordinal)
        where file.Lines.Length > MaxLines
        select $"{file.Path}: {file.Lines.Length} lines, {MaxLines} are allowed";

    /// <summary>Each folder of src and tests is one project of the same name, and stands in the solution.</summary>
    public static IEnumerable<string> Projects(SourceTree tree, string solution)
    {
        var folders = tree.Files.Keys.Where(path => path.StartsWith("src/", StringComparison.Ordinal) || path.StartsWith("tests/", StringComparison.Ordinal))
            .Select(path => path.Split('/')).Where(parts => parts.Length > 2).GroupBy(parts => $"{parts[0]}/{parts[1]}", parts => string.Join('/', parts));
        foreach (var folder in folders)
        {
            string expected = $"{folder.Key}/{folder.Key[(folder.Key.IndexOf('/') + 1)..]}.csproj";
            string[] projects = [.. folder.Where(path => path.EndsWith(".csproj", StringComparison.Ordinal))];
            if (!projects.SequenceEqual([expected])) yield return $"{folder.Key}: holds '{string.Join("', '", projects)}', not just {expected}";
            else if (!solution.Replace('\\', '/').Contains(expected, StringComparison.Ordinal)) yield return $"{expected} is not in Xinim.sln";
        }
    }

    /// <summary>A namespace is its folder, so that a type is found by its name.</summary>
    public static IEnumerable<string> Namespaces(SourceTree tree) =>
        from file in tree.Under("src/", ".cs")
        let declared = file.Code.Select(line => NamespaceLine().Match(line)).FirstOrDefault(match => match.Success)
        where declared is not null
        let expected = string.Join('.', file.Folder.Split('/').Skip(1))
        where declared.Groups[1].Value != expected
        select $"{file.Path}: namespace {declared.Groups[1].Value}, its folder says {expected}";

    [GeneratedRegex(@"^\s*namespace\s+([\w.]+)")]
    private static partial Regex NamespaceLine();
}
