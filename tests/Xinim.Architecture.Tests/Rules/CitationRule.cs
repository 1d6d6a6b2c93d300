using System.Text.RegularExpressions;

namespace Xinim.Architecture.Tests.Rules;

/// <summary>
/// Whoever reads a driver can open the manual at the right place. In a device's folder (one that holds a <c>*Registers.cs</c>):
/// <list type="bullet">
/// <item>each register, each register offset and each bit of a <c>*Registers.cs</c> cites its section as <c>[NAME §1.2.3]</c>, in the comment
/// above it or behind it; the bits of an enum may share the citation in the comment above the enum;</item>
/// <item>each file that cites NAME says at its head, before the first type, which document that is: <c>[NAME] = title, edition</c>;</item>
/// <item><c>*Registers.cs</c>, <c>*Descriptors.cs</c> and <c>*Hardware.cs</c> name at least one source.</item>
/// </list>
/// </summary>
internal static partial class CitationRule
{
    private const string Drivers = "src/Xinim.Drivers/";
    private static readonly string[] NeedSources = ["Registers.cs", "Descriptors.cs", "Hardware.cs"];

    public static IEnumerable<string> Check(SourceTree tree)
    {
        SourceFile[] files = [.. tree.Under(Drivers, ".cs")];
        HashSet<string> devices = [.. files.Where(IsRegisterFile).Select(file => file.Folder)];
        return files.Where(file => devices.Contains(file.Folder)).SelectMany(file => Sources(file).Concat(IsRegisterFile(file) ? Registers(file) : []));
    }

    private static bool IsRegisterFile(SourceFile file) => file.Name.EndsWith("Registers.cs", StringComparison.Ordinal);

    private static IEnumerable<string> Sources(SourceFile file)
    {
        int firstType = Array.FindIndex(file.Code, line => TypeDeclaration().IsMatch(line));
        string head = string.Join('\n', file.Lines.Take(firstType < 0 ? file.Lines.Length : firstType));
        HashSet<string> named = [.. Source().Matches(head).Select(match => match.Groups[1].Value)];
        if (named.Count == 0 && NeedSources.Any(end => file.Name.EndsWith(end, StringComparison.Ordinal)))
            yield return $"{file.Path}: the head names no source ('[SDM] = title, edition')";
        foreach (string unknown in Citation().Matches(file.Text).Select(match => match.Groups[1].Value).Distinct().Where(name => !named.Contains(name)))
            yield return $"{file.Path}: cites [{unknown}], which its head does not name ('[{unknown}] = title, edition')";
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

    [GeneratedRegex(@"\[([A-Z][\w.+-]*) §[0-9A-Z]+(?:\.[0-9A-Za-z]+)*(?:[,;–-][^\]]*)?\]")]
    private static partial Regex Citation();

    [GeneratedRegex(@"\[([A-Z][\w.+-]*)\] = \S")]
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
