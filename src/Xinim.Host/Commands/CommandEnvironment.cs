using Xinim.Vfio.Pci;

namespace Xinim.Host.Commands;

/// <summary>What a command touches outside itself; others than the system's in tests.</summary>
internal sealed record CommandEnvironment
{
    public TextWriter Output { get; init; } = Console.Out;

    public TextWriter Error { get; init; } = Console.Error;

    /// <summary>Somebody watches the error output.</summary>
    public bool IsTerminal { get; init; } = !Console.IsErrorRedirected;

    /// <summary>Columns of the output; null where it is no terminal and lines may be as long as they are.</summary>
    public int? Width { get; init; } = Console.IsOutputRedirected ? null : Console.WindowWidth;

    public BindingPaths Paths { get; init; } = new();

    public string ProcRoot { get; init; } = "/proc";

    /// <summary>Where driver manifests are unless <c>--drivers</c> says otherwise.</summary>
    public string DriverFolder { get; init; } = Path.Combine(AppContext.BaseDirectory, "drivers");

    /// <summary>Writes an attribute of sysfs (path, text); null for the kernel's.</summary>
    public Action<string, string>? WriteAttribute { get; init; }

    /// <summary>The standard output for bytes.</summary>
    public Func<Stream> OpenOutput { get; init; } = Console.OpenStandardOutput;

    /// <summary>The standard input for bytes.</summary>
    public Func<Stream> OpenInput { get; init; } = Console.OpenStandardInput;

    /// <summary>Asks a running command to end, beside SIGINT and SIGTERM.</summary>
    public CancellationToken Stop { get; init; }
}
