using System.Text.RegularExpressions;

namespace Xinim.Architecture.Tests.Rules;

/// <summary>Rules of the form "this may be written in those files only".</summary>
internal static partial class PatternRules
{
    /// <summary>
    /// Test files that may wait for time to pass, with the reason. A test that waits for an event needs no entry: it waits for the event.
    /// </summary>
    private static readonly Dictionary<string, string> SleepReasons = new()
    {
        ["tests/Xinim.Benchmarks/Flood.cs"] = "paces a sender: a spinning one would take the processor that the receiver needs",
        ["tests/Xinim.FaultyDriver/Mischief.cs"] = "a driver that sleeps for good is one of the faults",
        ["tests/Xinim.TestKit/Remote/QemuNic.cs"] = "drives a driver by polling alone: no event to wait for, and the device model needs the processor",
        ["tests/Xinim.Lab.Tests/Vfio/RawE1000.cs"] = "a device that is driven without interrupts can only be looked at again",
        ["tests/Xinim.Lab.Tests/Vfio/VfioDmaTests.cs"] = "DMA that the IOMMU must stop raises no event, and the device model starts its receiver by a timer",
    };

    /// <summary>Files outside a Native folder that may declare imports, with the reason.</summary>
    private static readonly Dictionary<string, string> ImportReasons = [];

    /// <summary>A fence that stands anywhere else has no name and no comment on what it orders.</summary>
    public static IEnumerable<string> Fences(SourceTree tree) =>
        Find(tree, "src/", Fence(), file => file.Name == "MemoryOrder.cs", "fences stand in MemoryOrder.cs, each with a name and with what it orders");

    public static IEnumerable<string> NativeImports(SourceTree tree) =>
        Find(tree, "src/", Import(), file => file.Folder.EndsWith("/Native", StringComparison.Ordinal) || ImportReasons.ContainsKey(file.Path), "imports stand in a Native folder");

    /// <summary>A library that ends the process takes its caller's clean-up away; an executable decides that in its own code.</summary>
    public static IEnumerable<string> ProcessExits(SourceTree tree)
    {
        HashSet<string> executables = [.. tree.Under("src/", ".csproj").Where(file => file.Text.Contains("<OutputType>Exe", StringComparison.Ordinal)).Select(file => file.Folder)];
        return Find(tree, "src/", ProcessExit(), file => executables.Contains(string.Join('/', file.Path.Split('/').Take(2))), "a library does not end the process; throw");
    }

    public static IEnumerable<string> SleepingTests(SourceTree tree) =>
        Find(tree, "tests/", Sleep(), file => SleepReasons.ContainsKey(file.Path), "tests do not sleep; wait for the event, or list the file with its reason");

    /// <summary>Unfinished work is an issue, not a comment. Scripts and project files count.</summary>
    public static IEnumerable<string> UnfinishedWork(SourceTree tree) =>
        from file in tree.Under("", "")
        from line in Enumerable.Range(0, file.Lines.Length)
        where Unfinished().IsMatch(file.Lines[line])
        select file.At(line, "finish it or file an issue");

    private static IEnumerable<string> Find(SourceTree tree, string folder, Regex pattern, Func<SourceFile, bool> allowed, string message) =>
        from file in tree.Under(folder, ".cs")
        where !allowed(file)
        from line in Enumerable.Range(0, file.Code.Length)
        where pattern.IsMatch(file.Code[line])
        select file.At(line, $"'{pattern.Match(file.Code[line]).Value}': {message}");

    [GeneratedRegex(@"\bMemoryBarrier(ProcessWide)?\b|\bVolatile\.(Read|Write)Barrier\b|\bSse2?\.\w*Fence\b|\bX86Base\.\w*Fence\b")]
    private static partial Regex Fence();

    [GeneratedRegex(@"\b(LibraryImport|DllImport)(Attribute)?\b(?=\()|\bNativeLibrary\.")]
    private static partial Regex Import();

    [GeneratedRegex(@"\bEnvironment\.(Exit|FailFast)\b|\bProcess\.GetCurrentProcess\(\)\.Kill\b")]
    private static partial Regex ProcessExit();

    [GeneratedRegex(@"\bThread\.Sleep\b|\bTask\.Delay\b|\busleep\b|\bnanosleep\b")]
    private static partial Regex Sleep();

    [GeneratedRegex(@"\b(TOD[O]|FIXM[E]|HAC[K])\b")]
    private static partial Regex Unfinished();
}
