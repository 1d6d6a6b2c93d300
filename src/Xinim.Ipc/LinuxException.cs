using System.Runtime.InteropServices;

namespace Xinim.Ipc;

/// <summary>
/// A system call or a control-path step failed. The message is one line that names the object, the value and the remedy,
/// fit to be shown to a user as it is.
/// </summary>
public sealed class LinuxException : IOException
{
    /// <summary>The errno of the failed call, 0 where none was involved.</summary>
    public int Errno { get; }

    public LinuxException(string message, int errno = 0)
        : base(errno == 0 ? message : $"{message}: {Marshal.GetPInvokeErrorMessage(errno)} (errno {errno})") => Errno = errno;

    /// <summary>Builds the exception of the call that failed last on this thread.</summary>
    public static LinuxException Last(string message) => new(message, Marshal.GetLastPInvokeError());
}
