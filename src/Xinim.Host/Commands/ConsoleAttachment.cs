using Microsoft.Win32.SafeHandles;
using Xinim.Ipc.Native;
using Xinim.Ipc.Protocols;
using Xinim.Serial.Ports;

namespace Xinim.Host.Commands;

/// <summary>A port on standard input and output: a terminal, in raw mode, or whatever a script has there.</summary>
/// <param name="follow">Go on after the end of the input.</param>
internal sealed class ConsoleAttachment(CommandEnvironment environment, ConsolePort port, bool follow)
{
    private const int PieceBytes = 4096;

    /// <summary>Between two looks whether somebody wants to end it.</summary>
    private static readonly TimeSpan LookPeriod = TimeSpan.FromMilliseconds(100);

    private readonly byte[] _piece = new byte[PieceBytes];
    private readonly EscapeKeys _keys = new();
    private readonly bool _terminal = !Console.IsInputRedirected;
    private bool _inputOver;
    private bool _hostOpen = port.Info.Has(ConsolePortFlags.HostOpen);
    private ulong _lost;

    public void Run(CancellationToken stop)
    {
        using SafeFileHandle input = new(0, ownsHandle: false);
        using Stream keys = Console.OpenStandardInput(), screen = Console.OpenStandardOutput();
        if (_terminal) Say($"port {port.Info}{(_hostOpen ? "" : "; nobody is on the other side, what you write waits")}; Ctrl-] q leaves");
        using RawTerminal? raw = _terminal ? new RawTerminal(input) : null;
        while (!stop.IsCancellationRequested && !IsDone())
        {
            bool listens = !_inputOver && port.WriteRoom >= PieceBytes;
            bool typed = listens ? port.Wait(LookPeriod, input) != 0 : port.Wait(LookPeriod) != 0;
            if (typed && !Send(keys)) break;
            Show(screen);
            ReportChanges();
        }

        Show(screen);
        if (_terminal) Say("");
    }

    private bool IsDone() => _inputOver && !follow && port.TxIdle;

    /// <returns>False where the user leaves.</returns>
    private bool Send(Stream keys)
    {
        int count = keys.Read(_piece);
        _inputOver = count == 0;
        if (_inputOver) return true;
        if (!_terminal)
        {
            _ = port.Write(_piece.AsSpan(0, count));
            return true;
        }

        bool stays = _keys.Take(_piece.AsSpan(0, count), out byte[] typed);
        _ = port.Write(typed);
        return stays;
    }

    private void Show(Stream screen)
    {
        int count;
        while ((count = port.Read(_piece)) != 0) screen.Write(_piece.AsSpan(0, count));
        screen.Flush();
    }

    private void ReportChanges()
    {
        if (port.LostBytes != _lost) Say($"{port.LostBytes - _lost} bytes were lost with a driver");
        _lost = port.LostBytes;
        bool open = port.Info.Has(ConsolePortFlags.HostOpen);
        if (open != _hostOpen && _terminal) Say(open ? "the other side is there" : "the other side has gone; what you write waits");
        _hostOpen = open;
    }

    /// <summary>A carriage return as well: the terminal adds none.</summary>
    private void Say(string line) => environment.Error.Write($"{line}\r\n");
}
