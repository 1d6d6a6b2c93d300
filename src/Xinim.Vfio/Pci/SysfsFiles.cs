using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Win32.SafeHandles;
using Xinim.Ipc;
using Xinim.Vfio.Native;

namespace Xinim.Vfio.Pci;

/// <summary>Small reads and writes of sysfs attributes. A device can vanish between two of them: what is not there reads as nothing.</summary>
internal static class SysfsFiles
{
    private const int O_WRONLY = 1;

    /// <summary>The attribute's text without its newline, or null.</summary>
    public static string? ReadText(string path)
    {
        try
        {
            return File.ReadAllText(path).Trim();
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <summary>A number as sysfs writes it, 0x8086 or 12; null where there is none.</summary>
    public static ulong? ReadNumber(string path) => ReadText(path) is { } text && TryNumber(text, out ulong value) ? value : null;

    /// <summary>Reads what can be read of a binary attribute; empty where nothing can.</summary>
    public static byte[] ReadBytes(string path, int limit)
    {
        try
        {
            using FileStream file = new(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite, bufferSize: 0);
            byte[] bytes = new byte[limit];
            int length = file.ReadAtLeast(bytes, limit, throwOnEndOfStream: false);
            return bytes[..length];
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }

    /// <summary>The last part of a symbolic link's target, or null.</summary>
    public static string? LinkName(string path)
    {
        try
        {
            return new FileInfo(path).LinkTarget is { } target ? Path.GetFileName(target) : null;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <summary>Names in a directory, sorted; none where there is no directory.</summary>
    public static string[] Names(string directory)
    {
        try
        {
            string[] names = [.. Directory.EnumerateFileSystemEntries(directory).Select(Path.GetFileName).OfType<string>()];
            Array.Sort(names, StringComparer.Ordinal);
            return names;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }

    /// <summary>Writes an attribute with one write(2), as sysfs wants it.</summary>
    /// <exception cref="LinuxException">The kernel refused; the errno tells why.</exception>
    public static unsafe void Write(string path, string text)
    {
        using SafeFileHandle file = NativeMethods.Open(path, O_WRONLY);
        if (file.IsInvalid)
        {
            string remedy = Marshal.GetLastPInvokeError() is Errno.EACCES or Errno.EPERM or Errno.EROFS ? "; run as root" : "";
            throw LinuxException.Last($"cannot open {path} for writing{remedy}");
        }

        byte[] bytes = Encoding.ASCII.GetBytes(text);
        fixed (byte* pointer = bytes)
        {
            if (NativeMethods.Write(file, pointer, (nuint)bytes.Length) != bytes.Length)
                throw LinuxException.Last($"the kernel refused '{text.Trim()}' in {path}");
        }
    }

    public static bool TryNumber(string text, out ulong value) => text.StartsWith("0x", StringComparison.Ordinal)
        ? ulong.TryParse(text.AsSpan(2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out value)
        : ulong.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out value);
}
