using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;

namespace Xinim.Host.Commands;

/// <summary>A command with examples at the end of its help.</summary>
/// <param name="examples">A line each, without <c>xinim</c>.</param>
internal sealed class CliCommand(string name, string description, params string[] examples) : Command(name, description)
{
    public IReadOnlyList<string> Examples { get; } = examples;
}

/// <summary>The help that the command line library makes, and examples.</summary>
internal sealed class HelpWithExamples(HelpAction help) : SynchronousCommandLineAction
{
    public override int Invoke(ParseResult parseResult)
    {
        int status = help.Invoke(parseResult);
        if (parseResult.CommandResult.Command is not CliCommand { Examples: { Count: > 0 } examples }) return status;
        TextWriter output = parseResult.InvocationConfiguration.Output;
        output.WriteLine(examples.Count == 1 ? "Example:" : "Examples:");
        foreach (string example in examples) output.WriteLine($"  xinim {example}");
        output.WriteLine();
        return status;
    }

    public override bool ClearsParseErrors => true;
}
