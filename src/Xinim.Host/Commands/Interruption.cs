using System.Runtime.InteropServices;

namespace Xinim.Host.Commands;

/// <summary>Ctrl-C and SIGTERM as a wish to end, so that a command can say what it has done.</summary>
internal sealed class Interruption : IDisposable
{
    private readonly CancellationTokenSource _source;
    private readonly PosixSignalRegistration _interrupt;
    private readonly PosixSignalRegistration _terminate;

    public Interruption(CommandEnvironment environment)
    {
        _source = CancellationTokenSource.CreateLinkedTokenSource(environment.Stop);
        _interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, OnSignal);
        _terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, OnSignal);
    }

    public CancellationToken Token => _source.Token;

    public void Dispose()
    {
        _interrupt.Dispose();
        _terminate.Dispose();
        _source.Dispose();
    }

    private void OnSignal(PosixSignalContext context)
    {
        // A second one ends the process as usual.
        context.Cancel = !_source.IsCancellationRequested;
        _source.Cancel();
    }
}
