using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;
using Xinim.Ipc;

namespace Xinim.Vfio.Remote;

/// <summary>The installed QEMU. Its multi-process protocol is marked experimental, so the version matters.</summary>
/// <param name="Path">Absolute.</param>
/// <param name="Version">As the program says.</param>
public sealed partial record QemuProgram(string Path, Version Version)
{
    /// <summary>File name.</summary>
    public const string Name = "qemu-system-x86_64";

    /// <summary>DEVICE_RESET and the checks that this code relies on are in this one.</summary>
    public static readonly Version Oldest = new(7, 0);

    /// <summary>The first that nothing was tested with.</summary>
    public static readonly Version FirstUntested = new(8, 0);

    /// <summary>One line to log, or null where the version is one that was tested.</summary>
    public string? Warning => Version < FirstUntested
        ? null
        : $"{Path} is version {Version}; device models over its experimental protocol were tested with 7.2 only, and may reset or answer differently";

    /// <summary>Finds the program in PATH and asks for its version, which takes some 20 ms.</summary>
    /// <exception cref="LinuxException">Not installed, or too old; the message says how to get it.</exception>
    public static QemuProgram Find(string? searchPath = null)
    {
        searchPath ??= Environment.GetEnvironmentVariable("PATH") ?? "/usr/bin";
        string path = searchPath.Split(':', StringSplitOptions.RemoveEmptyEntries).Select(folder => System.IO.Path.Combine(folder, Name)).FirstOrDefault(File.Exists)
            ?? throw new LinuxException($"{Name} is not installed; run 'scripts/install.sh remote' or 'apt-get install qemu-system-x86'");
        Version version = ParseVersion(AskVersion(path), path);
        return version >= Oldest
            ? new QemuProgram(path, version)
            : throw new LinuxException($"{path} is version {version}; device models need {Oldest} or newer ('apt-get install qemu-system-x86')");
    }

    /// <summary>Reads <c>QEMU emulator version 7.2.22 (Debian …)</c>.</summary>
    /// <exception cref="LinuxException">Something else.</exception>
    public static Version ParseVersion(string output, string path)
    {
        Match match = VersionPattern().Match(output);
        return match.Success && Version.TryParse(match.Groups[1].ValueSpan, out Version? version)
            ? version
            : throw new LinuxException(string.Create(CultureInfo.InvariantCulture, $"'{path} --version' says '{output.Split('\n')[0]}', which is no QEMU version"));
    }

    private static string AskVersion(string path)
    {
        try
        {
            using Process process = Process.Start(new ProcessStartInfo(path, "--version") { RedirectStandardOutput = true })!;
            // Disposing of a process leaves its streams open.
            using StreamReader output = process.StandardOutput;
            string version = output.ReadToEnd();
            process.WaitForExit();
            return version;
        }
        catch (Win32Exception error)
        {
            throw new LinuxException($"cannot run {path}", error.NativeErrorCode);
        }
    }

    [GeneratedRegex(@"^QEMU emulator version (\d{1,3}\.\d{1,3}(\.\d{1,5})?)")]
    private static partial Regex VersionPattern();
}
