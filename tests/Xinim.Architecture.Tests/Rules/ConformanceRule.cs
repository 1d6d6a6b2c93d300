using System.Text.RegularExpressions;

namespace Xinim.Architecture.Tests.Rules;

/// <summary>
/// The table of conformance clauses names a line for each of them, what stands there, and a test. Code moves; the table says so here, and does
/// not become wrong in silence.
/// </summary>
internal static partial class ConformanceRule
{
    public const string Page = "docs/VIRTIO_DRIVERS.md";

    /// <summary>Clauses that VirtIO 1.2 has for drivers, PCI, network, block and console devices.</summary>
    public const int Clauses = 49;

    private const string NotApplicable = "not applicable: ";

    public static IEnumerable<string> Check(SourceTree tree, int clauses = Clauses)
    {
        if (!tree.Files.TryGetValue(Page, out string? text)) return [$"{Page} is missing"];
        string[] rows = [.. text.Split('\n').Where(line => line.StartsWith("| §", StringComparison.Ordinal))];
        int different = rows.Select(row => row.Split(' ')[1]).Distinct().Count();
        IEnumerable<string> count = rows.Length == clauses && different == clauses ? [] : [$"{Page}: {rows.Length} rows of {different} clauses; there are {clauses}"];
        return count.Concat(rows.SelectMany(row => CheckRow(tree, row)));
    }

    private static IEnumerable<string> CheckRow(SourceTree tree, string row)
    {
        string[] cells = row.Split('|');
        string clause = cells[1].Trim();
        if (cells.Length != 6) return [$"{Page}, {clause}: {cells.Length - 2} cells, not 4"];
        MatchCollection places = Place().Matches(cells[3]), tests = Test().Matches(cells[4]);
        IEnumerable<string> missing = (places.Count == 0 || tests.Count == 0) && !cells[3].Contains(NotApplicable, StringComparison.Ordinal)
            ? [$"{Page}, {clause}: no place or no test, and not '{NotApplicable}' with a reason"]
            : [];
        return missing
            .Concat(places.Select(place => WrongPlace(tree, place)).OfType<string>().Select(wrong => $"{Page}, {clause}: {wrong}"))
            .Concat(tests.Where(test => !Exists(tree, test)).Select(test => $"{Page}, {clause}: there is no test {test.Value}"));
    }

    private static string? WrongPlace(SourceTree tree, Match place)
    {
        (string path, int line, string token) = ($"src/{place.Groups[1].Value}", int.Parse(place.Groups[2].Value), place.Groups[3].Value);
        if (!tree.Files.TryGetValue(path, out string? text)) return $"{path} is missing";
        string[] lines = text.Split('\n');
        if (line <= lines.Length && lines[line - 1].Contains(token, StringComparison.Ordinal)) return null;
        int[] found = [.. Enumerable.Range(1, lines.Length).Where(at => lines[at - 1].Contains(token, StringComparison.Ordinal))];
        return $"line {line} of {path} does not have '{token}'; it stands in line {(found.Length == 0 ? "none" : string.Join(", ", found))}";
    }

    private static bool Exists(SourceTree tree, Match test)
        => tree.Files.Any(file => file.Key.StartsWith("tests/", StringComparison.Ordinal) && file.Key.EndsWith($"/{test.Groups[1].Value}.cs", StringComparison.Ordinal)
            && file.Value.Contains($" {test.Groups[2].Value}(", StringComparison.Ordinal));

    [GeneratedRegex(@"`([\w./]+\.cs):(\d+)` `([^`]+)`")]
    private static partial Regex Place();

    [GeneratedRegex(@"`(\w+)\.(\w+)`")]
    private static partial Regex Test();
}
