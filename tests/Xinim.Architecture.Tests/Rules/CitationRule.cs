using System.Text.RegularExpressions;

namespace Xinim.Architecture.Tests.Rules;

/// <summary>
/// Whoever reads a driver can open the manual at the right place. In a device's folder (one that holds a <c>*Registers.cs</c>):
/// <list type="bullet">
/// <item>each register, each constant and each bit of a <c>*Registers.cs</c> or <c>*RegisterBits.cs</c> cites its section as
/// <c>[NAME §1.2.3]</c>, in the comment above it or behind it; the bits of an enum may share the citation in the comment above the enum;</item>
/// <item>the head of <c>*Registers.cs</c>, before its first type, says for the whole folder which document NAME is:
/// <c>[NAME] = title, edition</c>; a file that cites another document names it in a head of its own;</item>
/// <item><c>*Descriptors.cs</c> and <c>*Hardware.cs</c> cite something.</item>
/// </list>
/// </summary>
internal static partial class CitationRule
{
    private const string Drivers = "src/Xinim.Drivers/";
    private static readonly string[] MustCite = ["Descriptors.cs", "Hardware.cs"];

    public static IEnumerable<string> Check(SourceTree tree)
    {
        foreach (IGrouping<string, SourceFile> folder in tree.Under(Drivers, ".cs").GroupBy(file => file.Folder))
        {
            SourceFile[] maps = [.. folder.Where(file => EndsWith(file, "Registers.cs"))];
            if (maps.Length == 0) continue;
            foreach (SourceFile map in maps.Where(map => !NamedSources(map).Any()))
                yield return $"{map.Path}: the head names no source ('[SDM] = title, edition')";
            string[] named = [.. maps.SelectMany(NamedSources)];
            foreach (string violation in folder.SelectMany(file => Sources(file, named))) yield return violation;
            foreach (string violation in folder.Where(file => EndsWith(file, "Registers.cs") || EndsWith(file, "RegisterBits.cs")).SelectMany(Registers))
                yield return violation;
        }
    }

    private static bool EndsWith(SourceFile file, string end) => file.Name.EndsWith(end, StringComparison.Ordinal);

    private static IEnumerable<string> NamedSources(SourceFile file)
    {
        int firstType = Array.FindIndex(file.Code, line => TypeDeclaration().IsMatch(line));
        string head = string.Join('\n', file.Lines.Take(firstType < 0 ? file.Lines.Length : firstType));
        return Source().Matches(head).Select(match => match.Groups[1].Value);
    }

    private static IEnumerable<string> Sources(SourceFile file, string[] named)
    {
        string[] cited = [.. Citation().Matches(file.Text).Select(match => match.Groups[1].Value).Distinct()];
        if (cited.Length == 0 && MustCite.Any(end => EndsWith(file, end))) yield return $"{file.Path}: cites no section at all";
        foreach (string unknown in cited.Except(named).Except(NamedSources(file)))
            yield return $"{file.Path}: cites [{unknown}]; no head says what that is ('[{unknown}] = title, edition')";
    }

    private static IEnumerable<string> Registers(SourceFile file)
    {
        bool inEnum = false, enumCited = false;
        for (int line = 0; line < file.Code.Length; line++)
        {
            string code = file.Code[line];
            if (EnumDeclaration().IsMatch(code)) (inEnum, enumCited) = (true, IsCited(file, line));
            else if (inEnum && code.Contains('}')) inEnum = false;
            else if (inEnum && EnumMember().IsMatch(code) && !enumCited && !IsZero(code) && !IsCited(file, line))
                yield return file.At(line, $"'{code.Trim()}' cites no section, nor does its enum");
            else if (!inEnum && RegisterDeclaration().IsMatch(code) && !IsCited(file, line))
                yield return file.At(line, $"'{code.Trim()}' cites no section ('[SDM §13.4.2]')");
        }
    }

    // "None = 0" is no bit of the device.
    private static bool IsZero(string code) => ZeroMember().IsMatch(code);

    /// <summary>A citation behind the declaration (up to its end) or in the comments and attributes directly above it.</summary>
    private static bool IsCited(SourceFile file, int line)
    {
        for (int end = line; end < file.Lines.Length; end++)
        {
            if (Citation().IsMatch(file.Lines[end])) return true;
            if (file.Code[end].IndexOfAny([';', ',', '{', '}']) >= 0) break;
        }

        for (int above = line - 1; above >= 0 && IsCommentOrAttribute(file, above); above--)
        {
            if (Citation().IsMatch(file.Lines[above])) return true;
        }

        return false;
    }

    private static bool IsCommentOrAttribute(SourceFile file, int line)
    {
        string code = file.Code[line].Trim();
        return code.Length == 0 ? file.Lines[line].TrimStart().StartsWith("//", StringComparison.Ordinal) : code[0] == '[' && code[^1] == ']';
    }

    [GeneratedRegex(@"\[([A-Z0-9][\w.+-]*) §[0-9A-Z]+(?:\.[0-9A-Za-z]+)*(?:[,;–-][^\]]*)?\]")]
    private static partial Regex Citation();

    [GeneratedRegex(@"\[([A-Z0-9][\w.+-]*)\] = \S")]
    private static partial Regex Source();

    [GeneratedRegex(@"\b(class|struct|enum|interface|record)\s+\w")]
    private static partial Regex TypeDeclaration();

    [GeneratedRegex(@"\benum\s+\w")]
    private static partial Regex EnumDeclaration();

    [GeneratedRegex(@"^\s*\w+\s*(=[^=]|,|$)")]
    private static partial Regex EnumMember();

    [GeneratedRegex(@"=\s*0[u]?\s*,?\s*$")]
    private static partial Regex ZeroMember();

    // A member of a register type (of any width), or a constant: offsets and field masks are constants.
    [GeneratedRegex(@"^\s*(public|internal|private)\s+(static\s+|readonly\s+)*(\w*Register(Table)?\w*(<[\w.]+>)?\s+\w+\s*(=|\(|\{|;|$)|const\s)")]
    private static partial Regex RegisterDeclaration();
}
