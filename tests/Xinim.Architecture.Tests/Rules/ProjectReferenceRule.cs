using System.Xml.Linq;

namespace Xinim.Architecture.Tests.Rules;

/// <summary>Which project may know which (docs/DRIVER_ARCHITECTURE.md, Projects). What is forbidden is forbidden through others too.</summary>
internal static class ProjectReferenceRule
{
    private static readonly (string From, string[] To)[] Forbidden =
    [
        ("Xinim.Ipc", ["Xinim."]),
        ("Xinim.Vfio", ["Xinim.Drivers", "Xinim.Supervisor", "Xinim.Net", "Xinim.Block", "Xinim.Serial"]),
        ("Xinim.Net", ["Xinim.Vfio", "Xinim.Drivers", "Xinim.Supervisor", "Xinim.Block", "Xinim.Serial"]),
        ("Xinim.Block", ["Xinim.Vfio", "Xinim.Drivers", "Xinim.Supervisor", "Xinim.Net", "Xinim.Serial"]),
        ("Xinim.Serial", ["Xinim.Vfio", "Xinim.Drivers", "Xinim.Supervisor", "Xinim.Net", "Xinim.Block"]),
        ("Xinim.Drivers", ["Xinim.Net", "Xinim.Block", "Xinim.Serial", "Xinim.Supervisor"]),
        ("Xinim.Supervisor", ["Xinim.Drivers"]),
        ("Xinim.DriverHost", ["Xinim.Supervisor", "Xinim.Net", "Xinim.Block", "Xinim.Serial"]),
        ("Xinim.Host", ["Xinim.Drivers"]),
    ];

    public static IEnumerable<string> Check(SourceTree tree)
    {
        Dictionary<string, string[]> references = tree.Under("src/", ".csproj").ToDictionary(NameOf, References);
        foreach ((string from, string[] forbidden) in Forbidden.Where(rule => references.ContainsKey(rule.From)))
        {
            foreach (string[] path in Paths(from, references))
            {
                if (forbidden.Any(prefix => Matches(path[^1], prefix))) yield return $"{string.Join(" → ", path)}: {from} must not know {path[^1]}";
            }
        }

        foreach ((string from, string[] to) in references)
        {
            foreach (string unknown in to.Where(name => !references.ContainsKey(name))) yield return $"{from} → {unknown}: src refers to src only";
        }
    }

    private static bool Matches(string name, string prefix) => prefix.EndsWith('.') ? name.StartsWith(prefix, StringComparison.Ordinal) : name == prefix;

    /// <summary>Every simple path that leaves a project.</summary>
    private static IEnumerable<string[]> Paths(string from, Dictionary<string, string[]> references)
    {
        Stack<string[]> open = new([[from]]);
        while (open.TryPop(out string[]? path))
        {
            if (path.Length > 1) yield return path;
            foreach (string next in references.GetValueOrDefault(path[^1], []).Where(next => !path.Contains(next))) open.Push([.. path, next]);
        }
    }

    private static string NameOf(SourceFile file) => Path.GetFileNameWithoutExtension(file.Name);

    private static string[] References(SourceFile file) =>
    [
        .. XDocument.Parse(file.Text).Descendants("ProjectReference")
            .Select(reference => Path.GetFileNameWithoutExtension(((string?)reference.Attribute("Include") ?? "").Replace('\\', '/'))),
    ];
}
