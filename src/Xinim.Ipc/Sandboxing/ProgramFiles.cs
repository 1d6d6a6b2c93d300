using System.Text;
using Microsoft.Win32.SafeHandles;
using Xinim.Ipc.Native;
using Xinim.Ipc.Processes;

namespace Xinim.Ipc.Sandboxing;

/// <summary>Which files a program is made of: the loader itself says it, run as the user that the program will have.</summary>
internal static class ProgramFiles
{
    /// <summary>Where the x86-64 ABI puts the C library's loader (System V ABI, AMD64 supplement).</summary>
    private const string Loader = "/lib64/ld-linux-x86-64.so.2";
    private const int LongestList = 64 << 10;
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(10);

    /// <summary>The program and its libraries, loader included.</summary>
    /// <exception cref="LinuxException">It is no program, or a library is missing.</exception>
    public static IReadOnlyList<string> Of(string executable, uint? user)
    {
        string list = AskLoader(executable, user);
        List<string> files = [executable];
        foreach (string line in list.Split('\n'))
        {
            // "libm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f…)", "/lib64/ld-linux-x86-64.so.2 (0x00007f…)"
            int start = line.IndexOf('/', StringComparison.Ordinal), end = line.IndexOf(" (0x", StringComparison.Ordinal);
            if (line.Contains("not found", StringComparison.Ordinal)) throw new LinuxException($"{executable} cannot start: {line.Trim()}; install that library");
            if (start >= 0 && end > start) files.Add(line[start..end]);
        }

        return files;
    }

    private static string AskLoader(string executable, uint? user)
    {
        using SafeFileHandle output = Descriptor.Own(NativeMethods.MemfdCreate("xinim-libraries", NativeConstants.MFD_CLOEXEC), "cannot make a memfd");
        using ChildProcess loader = ProcessLauncher.Start(new LaunchRequest { Executable = Loader, Arguments = ["--list", executable], Output = output, User = user });
        bool ended = loader.WaitForExit(Limit);
        byte[] text = new byte[Math.Min(LongestList, NativeMethods.SizeOf(output))];
        int length = RandomAccess.Read(output, text, 0);
        string list = Encoding.UTF8.GetString(text, 0, length);
        if (!ended || loader.Exit is not { Code: 0, Signal: 0 })
            throw new LinuxException($"{executable} is no program that a sandbox can be made for: {Loader} says '{list.Split('\n')[0]}' ({loader.Exit}); drivers are dynamically linked x86-64 executables");
        return list;
    }
}
