using System.Globalization;

namespace Xinim.Ipc.Processes;

/// <summary>
/// Notes on disk of processes that run, so that a launcher that crashed can be cleaned up after: a file a process, its name the number, its
/// content the moment when the process started. The number alone would not do: it may be another's by then.
/// </summary>
public static class ProcessNotes
{
    private static readonly TimeSpan s_endLimit = TimeSpan.FromSeconds(5);

    /// <summary>Ends the processes that a former launcher noted in this folder and left behind.</summary>
    /// <returns>Their numbers.</returns>
    /// <exception cref="LinuxException">One of them cannot be ended.</exception>
    public static IReadOnlyList<int> EndAll(string folder)
    {
        List<int> ended = [];
        if (!Directory.Exists(folder)) return ended;
        foreach (string note in Directory.GetFiles(folder))
        {
            if (int.TryParse(Path.GetFileName(note), NumberStyles.None, CultureInfo.InvariantCulture, out int pid) && TryEnd(pid, File.ReadAllText(note))) ended.Add(pid);
            File.Delete(note);
        }

        return ended;
    }

    /// <summary>Notes a process that has just been started and not been reaped.</summary>
    /// <returns>The note's path.</returns>
    /// <exception cref="LinuxException">The folder cannot be written.</exception>
    internal static string Add(string folder, int pid)
    {
        string note = Path.Combine(folder, pid.ToString(CultureInfo.InvariantCulture));
        try
        {
            Directory.CreateDirectory(folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
            File.WriteAllText(note, StartOf(pid));
            return note;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new LinuxException($"cannot note process {pid} in {folder}: {exception.Message}");
        }
    }

    private static bool TryEnd(int pid, string start)
    {
        ChildProcess process;
        try
        {
            process = new ChildProcess(pid);
        }
        catch (LinuxException)
        {
            return false;
        }

        using (process.Handle)
        {
            // Held by the pidfd now: if the start is the same, so is the process, and it stays so.
            if (StartOf(pid) != start) return false;
            process.Signal(PosixSignalNumber.Kill);
            if (Native.Descriptor.Poll(s_endLimit, process.Handle) == 0) throw new LinuxException($"process {pid} of a former daemon does not end; it hangs in the kernel");
            return true;
        }
    }

    /// <summary>starttime, field 22 of /proc/PID/stat (proc(5)), in ticks since boot; empty where there is no such process.</summary>
    private static string StartOf(int pid)
    {
        try
        {
            string stat = File.ReadAllText($"/proc/{pid}/stat");
            // The name, field 2, may hold blanks and parentheses; field 3 follows the last of them.
            string[] fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
            return fields.Length > 19 ? fields[19] : "";
        }
        catch (IOException)
        {
            return "";
        }
    }
}
