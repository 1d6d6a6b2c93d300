using System.Globalization;

namespace Xinim.Faults.Processes;

/// <summary>A line of /proc/PID/maps (proc_pid_maps(5)).</summary>
/// <param name="Access">Such as <c>r-xp</c>.</param>
/// <param name="Path">Empty for anonymous memory.</param>
internal readonly record struct Mapping(ulong Start, ulong End, string Access, string Path)
{
    public bool IsWritable => Access[1] == 'w';

    public bool IsExecutable => Access[2] == 'x';

    public static IEnumerable<Mapping> Of(int pid) => Parse(File.ReadLines($"/proc/{pid}/maps"));

    public static IEnumerable<Mapping> Parse(IEnumerable<string> lines)
    {
        foreach (string line in lines)
        {
            string[] words = line.Split(' ', 6, StringSplitOptions.RemoveEmptyEntries);
            string[] range = words[0].Split('-');
            yield return new Mapping(Hexadecimal(range[0]), Hexadecimal(range[1]), words[1], words.Length > 5 ? words[5].Trim() : "");
        }
    }

    private static ulong Hexadecimal(string text) => ulong.Parse(text, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);
}
