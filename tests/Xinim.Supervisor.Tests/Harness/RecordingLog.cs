using Microsoft.Extensions.Logging;

namespace Xinim.Supervisor.Tests.Harness;

/// <summary>Keeps what was logged.</summary>
internal sealed class RecordingLog : ILogger
{
    public List<string> Lines { get; } = [];

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull
        => null;

    public bool IsEnabled(LogLevel logLevel) => true;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        => Lines.Add($"{logLevel}: {formatter(state, exception)}");

    /// <summary>True where a line holds the text.</summary>
    public bool Has(string text) => Lines.Exists(line => line.Contains(text, StringComparison.Ordinal));
}
