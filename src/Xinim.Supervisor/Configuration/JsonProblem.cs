using System.Text.Json;
using System.Text.RegularExpressions;
using Xinim.Ipc;

namespace Xinim.Supervisor.Configuration;

/// <summary>Makes one line of a JSON error: file, line where it is known, what is wrong and, for a wrong key, which there are.</summary>
internal static partial class JsonProblem
{
    /// <param name="keys">Allowed keys, for an unknown one.</param>
    public static LinuxException In(string file, JsonException exception, IEnumerable<string>? keys = null)
    {
        string message = exception.Message.Split(" Path:")[0].Split(" LineNumber:")[0];
        string place = exception.LineNumber is { } line ? $"{file}:{line + 1}" : file;
        if (UnknownKeyPattern().Match(message) is { Success: true } match)
            message = $"unknown key '{match.Groups[1].Value}'{(keys is null ? "" : $"; allowed here: {string.Join(", ", keys)}")}";
        else if (MissingKeyPattern().Match(message) is { Success: true } missing)
            message = $"missing: {missing.Groups[1].Value}";
        else if (exception.Path is { Length: > 0 } path)
            message = $"{message} (at {path})";
        return new LinuxException($"{place}: {message}");
    }

    [GeneratedRegex(@"^The JSON property '([^']*)' could not be mapped")]
    private static partial Regex UnknownKeyPattern();

    [GeneratedRegex(@"was missing required properties including: (.*?)\.?$")]
    private static partial Regex MissingKeyPattern();
}
