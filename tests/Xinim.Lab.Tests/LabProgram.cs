using System.Diagnostics;
using Xunit;

namespace Xinim.Lab.Tests;

/// <summary>A program that ends by itself, or has failed.</summary>
public static class LabProgram
{
    /// <summary>The guest may have no KVM and the host no time: reached only when something is broken.</summary>
    public static readonly TimeSpan Limit = TimeSpan.FromSeconds(120);

    /// <summary>Runs a program to its end; one that does not come to it is killed, and the test fails with what it said.</summary>
    public static (int Status, string Output, string Error) Run(string program, params IEnumerable<string> arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        Task<string> output = process.StandardOutput.ReadToEndAsync(), error = process.StandardError.ReadToEndAsync();
        bool ended = process.WaitForExit(Limit);
        if (!ended) process.Kill(entireProcessTree: true);
        Assert.True(Task.WaitAll([output, error], Limit), $"{program} has ended, but somebody holds its output open");
        Assert.True(ended, $"{program} {string.Join(' ', arguments)} did not end within {Limit.TotalSeconds} s; it said:\n{output.Result}{error.Result}");
        return (process.ExitCode, output.Result, error.Result);
    }
}
