using System.Text.RegularExpressions;
using System.Xml.Linq;

namespace Xinim.Architecture.Tests.Rules;

/// <summary>Pointers live in Xinim.Ipc, in Xinim.Vfio and in the lwIP folder of Xinim.Net; drivers and protocol code are safe code.</summary>
internal static partial class UnsafeRule
{
    private const string LwipFolder = "src/Xinim.Net/Lwip/";
    private static readonly string[] Allowed = ["Xinim.Ipc", "Xinim.Vfio", "Xinim.Net"];

    // Device models and benchmarks touch memory as a device or a C program would, attackers as they please; Mmio is tested on memory of the test's own.
    private static readonly string[] AllowedTests = ["Xinim.TestKit", "Xinim.Benchmarks", "Xinim.Vfio.Tests", "Xinim.HostileDriver"];

    public static IEnumerable<string> Check(SourceTree tree)
    {
        foreach (SourceFile file in ProjectFiles(tree).Where(AllowsUnsafe))
        {
            string project = Path.GetFileNameWithoutExtension(file.Name);
            bool inTests = file.Path.StartsWith("tests/", StringComparison.Ordinal);
            bool lwip = project != "Xinim.Net" || tree.Under(LwipFolder, ".cs").Any();
            if (!(inTests ? AllowedTests : Allowed).Contains(project) || !lwip) yield return $"{file.Path}: AllowUnsafeBlocks is not for this project";
        }

        foreach (SourceFile file in tree.Under("src/", ".cs").Where(file => !MayBeUnsafe(file)))
        {
            for (int line = 0; line < file.Code.Length; line++)
            {
                if (Unsafe().Match(file.Code[line]) is { Success: true } match) yield return file.At(line, $"'{match.Value}' outside Xinim.Ipc and Xinim.Vfio");
            }
        }
    }

    private static IEnumerable<SourceFile> ProjectFiles(SourceTree tree) =>
        tree.Under("", ".csproj").Concat(tree.Under("", ".props")).Concat(tree.Under("", ".targets"));

    private static bool AllowsUnsafe(SourceFile file) =>
        XDocument.Parse(file.Text).Descendants("AllowUnsafeBlocks").Any(value => !string.Equals(value.Value.Trim(), "false", StringComparison.OrdinalIgnoreCase));

    private static bool MayBeUnsafe(SourceFile file) =>
        file.Project is "Xinim.Ipc" or "Xinim.Vfio" || file.Path.StartsWith(LwipFolder, StringComparison.Ordinal);

    // Unsafe.As and its kin need no AllowUnsafeBlocks and are as unsafe; SizeOf and BitCast check themselves.
    [GeneratedRegex(@"\bunsafe\b|\bUnsafe\.(?!SizeOf\b|BitCast\b)\w+|\bMemoryMarshal\.(GetReference|CreateSpan|CreateReadOnlySpan|GetArrayDataReference)\b|\bMarshal\.(Read|Write|AllocHGlobal|Copy)\w*|\bstackalloc\b[^;]*\*")]
    private static partial Regex Unsafe();
}
