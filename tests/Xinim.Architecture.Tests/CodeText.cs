using System.Text;

namespace Xinim.Architecture.Tests;

/// <summary>
/// Blanks what is not code in a C# file, keeping every line where it was. Not a parser: it knows comments, character literals and the four
/// kinds of string; the holes of an interpolated string are blanked with it.
/// </summary>
internal static class CodeText
{
    public static string Blank(string text)
    {
        StringBuilder code = new(text.Length);
        int at = 0;
        while (at < text.Length)
        {
            int end = EndOfProse(text, at);
            if (end == at)
            {
                code.Append(text[at++]);
                continue;
            }

            for (; at < end; at++) code.Append(text[at] == '\n' ? '\n' : ' ');
        }

        return code.ToString();
    }

    /// <summary>Where the comment or literal that starts at <paramref name="at"/> ends; <paramref name="at"/> itself where none does.</summary>
    private static int EndOfProse(string text, int at)
    {
        string rest = text.Substring(at, Math.Min(4, text.Length - at));
        if (rest.StartsWith("//", StringComparison.Ordinal)) return After(text, "\n", at, 0);
        if (rest.StartsWith("/*", StringComparison.Ordinal)) return After(text, "*/", at + 2, 2);
        if (rest.StartsWith("\"\"\"", StringComparison.Ordinal)) return EndOfRaw(text, at);
        if (rest.StartsWith("@\"", StringComparison.Ordinal)) return EndOfVerbatim(text, at + 2);
        if (rest.StartsWith("$@\"", StringComparison.Ordinal) || rest.StartsWith("@$\"", StringComparison.Ordinal)) return EndOfVerbatim(text, at + 3);
        return rest[0] is '"' or '\'' ? EndOfQuoted(text, at) : at;
    }

    private static int EndOfRaw(string text, int at)
    {
        int quotes = 0;
        while (at + quotes < text.Length && text[at + quotes] == '"') quotes++;
        return After(text, new string('"', quotes), at + quotes, quotes);
    }

    private static int EndOfVerbatim(string text, int at)
    {
        while (at < text.Length)
        {
            if (text[at] != '"') at++;
            else if (at + 1 < text.Length && text[at + 1] == '"') at += 2;
            else return at + 1;
        }

        return at;
    }

    private static int EndOfQuoted(string text, int at)
    {
        char quote = text[at++];
        while (at < text.Length && text[at] != quote && text[at] != '\n') at += text[at] == '\\' ? 2 : 1;
        return Math.Min(at + 1, text.Length);
    }

    private static int After(string text, string mark, int from, int length)
    {
        int found = text.IndexOf(mark, Math.Min(from, text.Length), StringComparison.Ordinal);
        return found < 0 ? text.Length : found + length;
    }
}
