using Microsoft.Win32.SafeHandles;

namespace Xinim.Ipc.Native;

/// <summary>A terminal in raw mode, for as long as this lives: every key goes through, nothing is echoed (termios(3)).</summary>
public sealed unsafe class RawTerminal : IDisposable
{
    private const int Drained = 1; // TCSADRAIN

    private readonly SafeFileHandle _terminal;
    private readonly TerminalAttributes _before;
    private bool _disposed;

    /// <exception cref="LinuxException">It is no terminal.</exception>
    public RawTerminal(SafeFileHandle terminal)
    {
        _terminal = terminal;
        TerminalAttributes attributes;
        if (NativeMethods.TcGetAttributes(terminal, &attributes) != 0) throw LinuxException.Last("cannot read the terminal's mode");
        _before = attributes;
        NativeMethods.MakeRaw(&attributes);
        if (NativeMethods.TcSetAttributes(terminal, Drained, &attributes) != 0) throw LinuxException.Last("cannot set the terminal's mode");
    }

    /// <summary>The mode of before.</summary>
    public void Dispose()
    {
        if (_disposed) return;
        _disposed = true;
        TerminalAttributes before = _before;
        _ = NativeMethods.TcSetAttributes(_terminal, Drained, &before);
    }
}
