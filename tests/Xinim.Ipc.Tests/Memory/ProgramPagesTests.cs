using Xinim.Ipc.Memory;
using Xunit;

namespace Xinim.Ipc.Tests.Memory;

/// <summary>A program can have its pages brought in beforehand.</summary>
public sealed class ProgramPagesTests
{
    [Fact]
    public void More_of_the_program_s_files_is_resident_afterwards()
    {
        long before = ResidentFileKilobytes();
        ProgramPages.Load();
        Assert.True(ResidentFileKilobytes() > before, $"{before} kB before and {ResidentFileKilobytes()} after");
    }

    private static long ResidentFileKilobytes() => long.Parse(
        File.ReadLines("/proc/self/status").First(line => line.StartsWith("RssFile", StringComparison.Ordinal)).Split((char[])[' ', '\t'], StringSplitOptions.RemoveEmptyEntries)[1],
        System.Globalization.CultureInfo.InvariantCulture);
}
