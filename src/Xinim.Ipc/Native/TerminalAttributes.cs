using System.Runtime.InteropServices;

namespace Xinim.Ipc.Native;

/// <summary>struct termios of the C library (termios(3), x86-64): kept and given back, never looked into.</summary>
[StructLayout(LayoutKind.Sequential, Size = 60)]
internal struct TerminalAttributes;
