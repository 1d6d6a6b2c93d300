using System.Reflection;

namespace Xinim.Architecture.Tests;

/// <summary>The files that the rules look at: the repository's own, or a sample made by a rule's self-test.</summary>
/// <param name="Files">Text by path; paths are relative to the repository's root and use '/'.</param>
internal sealed record SourceTree(IReadOnlyDictionary<string, string> Files)
{
    private static readonly string[] Roots = ["src", "tests", "samples", "scripts", "docs"];
    private static readonly string[] Extensions = [".cs", ".csproj", ".props", ".targets", ".sh", ".c", ".h", ".sln", ".md"];
    private static readonly string[] Skipped = ["bin", "obj", "artifacts", "TestResults"];

    /// <summary>The repository that this assembly was built from.</summary>
    public static SourceTree Repository { get; } = Load(FindRoot());

    public static SourceTree Of(params (string Path, string Text)[] files) => new(files.ToDictionary(file => file.Path, file => file.Text));

    /// <summary>Files below a folder whose name ends so.</summary>
    public IEnumerable<SourceFile> Under(string folder, string extension) => Files
        .Where(file => file.Key.StartsWith(folder, StringComparison.Ordinal) && file.Key.EndsWith(extension, StringComparison.Ordinal))
        .OrderBy(file => file.Key, StringComparer.Ordinal)
        .Select(file => new SourceFile(file.Key, file.Value));

    private static SourceTree Load(string root)
    {
        Dictionary<string, string> files = [];
        foreach (string name in Directory.EnumerateFiles(root)) Add(name);
        foreach (string folder in Roots.Select(name => Path.Combine(root, name)).Where(Directory.Exists)) Walk(folder);
        return new SourceTree(files);

        void Walk(string folder)
        {
            foreach (string name in Directory.EnumerateFiles(folder)) Add(name);
            foreach (string inner in Directory.EnumerateDirectories(folder).Where(inner => !Skipped.Contains(Path.GetFileName(inner)))) Walk(inner);
        }

        void Add(string name)
        {
            if (Extensions.Contains(Path.GetExtension(name))) files[Path.GetRelativePath(root, name).Replace('\\', '/')] = File.ReadAllText(name);
        }
    }

    private static string FindRoot()
    {
        string? folder = Path.GetDirectoryName(Assembly.GetExecutingAssembly().Location);
        while (folder is not null && !File.Exists(Path.Combine(folder, "Xinim.sln"))) folder = Path.GetDirectoryName(folder);
        return folder ?? throw new DirectoryNotFoundException("no Xinim.sln above the test's assembly: run the tests where they were built");
    }
}
