using Xinim.Architecture.Tests.Rules;
using Xunit;

namespace Xinim.Architecture.Tests;

/// <summary>Every rule catches what it is for, and lets the neighbouring right thing pass.</summary>
public sealed class RuleTests
{
    private const string Solution = """Project("{F}") = "Xinim.Ipc", "src\Xinim.Ipc\Xinim.Ipc.csproj", "{0}" """;

    [Theory]
    [InlineData("Xinim.Net", "Xinim.Vfio")]
    [InlineData("Xinim.Net", "Xinim.Drivers")]
    [InlineData("Xinim.Net", "Xinim.Supervisor")]
    [InlineData("Xinim.Block", "Xinim.Vfio")]
    [InlineData("Xinim.Drivers", "Xinim.Net")]
    [InlineData("Xinim.Serial", "Xinim.Supervisor")]
    [InlineData("Xinim.Drivers", "Xinim.Block")]
    [InlineData("Xinim.Drivers", "Xinim.Supervisor")]
    [InlineData("Xinim.Supervisor", "Xinim.Drivers")]
    [InlineData("Xinim.Ipc", "Xinim.Vfio")]
    public void A_forbidden_reference_is_seen_directly_and_through_another(string from, string to)
    {
        Assert.NotEmpty(ProjectReferenceRule.Check(SourceTree.Of(Project(from, to), Project(to))));
        Assert.NotEmpty(ProjectReferenceRule.Check(SourceTree.Of(Project(from, "Xinim.Middle"), Project("Xinim.Middle", to), Project(to))));
    }

    [Fact]
    public void The_designed_references_pass() => Assert.Empty(ProjectReferenceRule.Check(SourceTree.Of(
        Project("Xinim.Ipc"), Project("Xinim.Vfio", "Xinim.Ipc"), Project("Xinim.Net", "Xinim.Ipc"), Project("Xinim.Serial", "Xinim.Ipc"), Project("Xinim.Drivers", "Xinim.Vfio"),
        Project("Xinim.Supervisor", "Xinim.Vfio"), Project("Xinim.Host", "Xinim.Supervisor", "Xinim.Net"), Project("Xinim.DriverHost", "Xinim.Drivers"))));

    [Fact]
    public void A_reference_out_of_src_is_seen() =>
        Assert.NotEmpty(ProjectReferenceRule.Check(SourceTree.Of(Project("Xinim.Net", "Xinim.TestKit"))));

    [Theory]
    [InlineData("src/Xinim.Drivers/Xinim.Drivers.csproj")]
    [InlineData("src/Xinim.Net/Xinim.Net.csproj")]
    [InlineData("tests/Xinim.Ipc.Tests/Xinim.Ipc.Tests.csproj")]
    [InlineData("Directory.Build.props")]
    public void AllowUnsafeBlocks_is_seen(string path) =>
        Assert.NotEmpty(UnsafeRule.Check(SourceTree.Of((path, "<Project><PropertyGroup><AllowUnsafeBlocks>true</AllowUnsafeBlocks></PropertyGroup></Project>"))));

    [Theory]
    [InlineData("unsafe { }")]
    [InlineData("Unsafe.As<int>(x);")]
    [InlineData("MemoryMarshal.GetReference(span);")]
    [InlineData("Marshal.ReadInt32(p);")]
    public void Unsafe_code_in_a_driver_is_seen(string code) => Assert.NotEmpty(UnsafeRule.Check(SourceTree.Of(("src/Xinim.Drivers/A.cs", code))));

    [Fact]
    public void Unsafe_code_passes_in_its_place_and_prose_passes_everywhere() => Assert.Empty(UnsafeRule.Check(SourceTree.Of(
        ("src/Xinim.Net/Lwip/A.cs", "unsafe { }"),
        ("src/Xinim.Vfio/A.cs", "unsafe { }"),
        ("src/Xinim.Vfio/Xinim.Vfio.csproj", "<Project><AllowUnsafeBlocks>true</AllowUnsafeBlocks></Project>"),
        ("src/Xinim.Drivers/B.cs", "// unsafe here would be wrong\nstring s = \"unsafe\"; Unsafe.SizeOf<int>();"))));

    [Theory]
    [InlineData("Interlocked.MemoryBarrier();")]
    [InlineData("Volatile.WriteBarrier();")]
    [InlineData("Volatile.ReadBarrier();")]
    public void A_fence_elsewhere_is_seen(string code)
    {
        Assert.NotEmpty(PatternRules.Fences(SourceTree.Of(("src/Xinim.Ipc/Rings/A.cs", code))));
        Assert.Empty(PatternRules.Fences(SourceTree.Of(("src/Xinim.Ipc/Rings/MemoryOrder.cs", code))));
    }

    [Theory]
    [InlineData("[LibraryImport(\"libc\")]")]
    [InlineData("[DllImport(\"libc\")]")]
    public void An_import_elsewhere_is_seen(string code)
    {
        Assert.NotEmpty(PatternRules.NativeImports(SourceTree.Of(("src/Xinim.Ipc/A.cs", code))));
        Assert.Empty(PatternRules.NativeImports(SourceTree.Of(("src/Xinim.Ipc/Native/A.cs", code))));
    }

    [Fact]
    public void An_exit_is_seen_in_a_library_only()
    {
        (string, string) code = ("src/Xinim.A/B/C.cs", "Environment.Exit(1);");
        Assert.NotEmpty(PatternRules.ProcessExits(SourceTree.Of(code, Project("Xinim.A"))));
        Assert.Empty(PatternRules.ProcessExits(SourceTree.Of(code, ("src/Xinim.A/Xinim.A.csproj", "<OutputType>Exe</OutputType>"))));
    }

    [Theory]
    [InlineData("Thread.Sleep(10);")]
    [InlineData("await Task.Delay(10);")]
    public void A_sleeping_test_is_seen(string code)
    {
        Assert.NotEmpty(PatternRules.SleepingTests(SourceTree.Of(("tests/A.Tests/A.cs", code))));
        Assert.Empty(PatternRules.SleepingTests(SourceTree.Of(("tests/A.Tests/A.cs", "// " + code))));
    }

    [Theory]
    [InlineData("TO", "DO")]
    [InlineData("FIX", "ME")]
    [InlineData("HA", "CK")]
    public void Unfinished_work_is_seen_in_comments_and_scripts(string start, string end)
    {
        // Joined here, because this file is looked at as well.
        string word = start + end;
        Assert.NotEmpty(PatternRules.UnfinishedWork(SourceTree.Of(("src/A/A.cs", $"// {word}: later"))));
        Assert.NotEmpty(PatternRules.UnfinishedWork(SourceTree.Of(("scripts/a.sh", $"# {word} later"))));
        Assert.Empty(PatternRules.UnfinishedWork(SourceTree.Of(("src/A/A.cs", $"// {word}S"))));
    }

    [Fact]
    public void A_long_file_is_seen()
    {
        Assert.NotEmpty(LayoutRules.FileLengths(SourceTree.Of(("src/A/A.cs", new string('\n', 400) + "x\n"))));
        Assert.Empty(LayoutRules.FileLengths(SourceTree.Of(("src/A/A.cs", new string('\n', 399) + "x\n"))));
    }

    [Fact]
    public void A_folder_that_is_not_one_project_of_the_solution_is_seen()
    {
        Assert.Empty(LayoutRules.Projects(SourceTree.Of(Project("Xinim.Ipc")), Solution));
        Assert.NotEmpty(LayoutRules.Projects(SourceTree.Of(Project("Xinim.Ipc")), ""));
        Assert.NotEmpty(LayoutRules.Projects(SourceTree.Of(("src/Xinim.Ipc/Other.csproj", "")), Solution));
        Assert.NotEmpty(LayoutRules.Projects(SourceTree.Of(Project("Xinim.Ipc"), ("src/Xinim.Ipc/Inner/Inner.csproj", "")), Solution));
        Assert.NotEmpty(LayoutRules.Projects(SourceTree.Of(("src/Xinim.Ipc/A.cs", "")), Solution));
    }

    [Fact]
    public void A_namespace_that_is_not_its_folder_is_seen()
    {
        Assert.NotEmpty(LayoutRules.Namespaces(SourceTree.Of(("src/Xinim.Ipc/Rings/A.cs", "namespace Xinim.Ipc;"))));
        Assert.Empty(LayoutRules.Namespaces(SourceTree.Of(("src/Xinim.Ipc/Rings/A.cs", "namespace Xinim.Ipc.Rings;"))));
    }

    private static (string Path, string Text) Project(string name, params string[] references) => (
        $"src/{name}/{name}.csproj",
        $"<Project>{string.Concat(references.Select(other => $"<ProjectReference Include=\"..\\{other}\\{other}.csproj\" />"))}</Project>");
}
