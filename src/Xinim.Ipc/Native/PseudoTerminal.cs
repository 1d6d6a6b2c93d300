using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Win32.SafeHandles;
using static Tmds.Linux.LibC;

namespace Xinim.Ipc.Native;

/// <summary>A pseudo-terminal (pty(7)) in raw mode. Its own hold on the other end keeps what is written while nobody has that open.</summary>
public sealed unsafe class PseudoTerminal : IDisposable
{
    private const ulong SetWindowSize = 0x5414; // TIOCSWINSZ, ioctl_tty(2)
    private const int NameBytes = 64;

    private readonly SafeFileHandle _other;
    private readonly RawTerminal _raw;

    public PseudoTerminal()
    {
        Master = Descriptor.Own(NativeMethods.OpenPseudoTerminal(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK), "cannot make a pseudo-terminal");
        byte* name = stackalloc byte[NameBytes];
        if (NativeMethods.UnlockPseudoTerminal(Master) != 0 || NativeMethods.NamePseudoTerminal(Master, name, NameBytes) != 0)
        {
            Master.Dispose();
            throw LinuxException.Last("cannot unlock a pseudo-terminal");
        }

        Path = Encoding.UTF8.GetString(MemoryMarshal.CreateReadOnlySpanFromNullTerminated(name));
        _other = Descriptor.Own(open(name, O_RDWR | O_NOCTTY | O_CLOEXEC), $"cannot open {Path}");
        _raw = new RawTerminal(_other);
    }

    /// <summary>Readable when something was written to the other end.</summary>
    public SafeFileHandle Master { get; }

    /// <summary>The other end, for programs.</summary>
    public string Path { get; }

    /// <returns>Bytes; 0 where there is nothing.</returns>
    public int Read(Span<byte> into)
    {
        fixed (byte* bytes = into) return Moved(read(Descriptor.Number(Master), bytes, into.Length), "read from");
    }

    /// <returns>Bytes that there was room for.</returns>
    public int Write(ReadOnlySpan<byte> from)
    {
        fixed (byte* bytes = from) return Moved(write(Descriptor.Number(Master), bytes, from.Length), "write to");
    }

    /// <summary>What programs on it see, who hear of it by SIGWINCH.</summary>
    public void SetSize(ushort columns, ushort rows)
    {
        ushort* size = stackalloc ushort[4] { rows, columns, 0, 0 };
        if (NativeMethods.Ioctl(Master, SetWindowSize, size) != 0) throw LinuxException.Last($"cannot set the size of {Path}");
    }

    public void Dispose()
    {
        _raw.Dispose();
        _other.Dispose();
        Master.Dispose();
    }

    private int Moved(long result, string what)
    {
        if (result >= 0) return (int)result;
        int error = Marshal.GetLastPInvokeError();
        return error == EAGAIN || error == EINTR ? 0 : throw LinuxException.Last($"cannot {what} {Path}");
    }
}
