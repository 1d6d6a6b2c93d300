using Xinim.Architecture.Tests.Rules;
using Xunit;

namespace Xinim.Architecture.Tests;

/// <summary>The repository keeps its own rules. Each failure lists every place that breaks one.</summary>
public sealed class ArchitectureTests
{
    private static readonly SourceTree Tree = SourceTree.Repository;

    [Fact]
    public void Projects_refer_only_to_those_they_may_know() => Holds(ProjectReferenceRule.Check(Tree));

    [Fact]
    public void Unsafe_code_stays_where_it_may_be() => Holds(UnsafeRule.Check(Tree));

    [Fact]
    public void Every_register_cites_its_manual() => Holds(CitationRule.Check(Tree));

    [Fact]
    public void Every_conformance_clause_has_its_line_and_its_test() => Holds(ConformanceRule.Check(Tree));

    [Fact]
    public void Fences_stand_in_one_file() => Holds(PatternRules.Fences(Tree));

    [Fact]
    public void Native_imports_stand_in_Native_folders() => Holds(PatternRules.NativeImports(Tree));

    [Fact]
    public void Libraries_do_not_end_the_process() => Holds(PatternRules.ProcessExits(Tree));

    [Fact]
    public void Tests_do_not_sleep() => Holds(PatternRules.SleepingTests(Tree));

    [Fact]
    public void Nothing_is_left_unfinished() => Holds(PatternRules.UnfinishedWork(Tree));

    [Fact]
    public void Files_stay_short() => Holds(LayoutRules.FileLengths(Tree));

    [Fact]
    public void Each_folder_is_one_project_of_the_solution() => Holds(LayoutRules.Projects(Tree, Tree.Files["Xinim.sln"]));

    [Fact]
    public void Namespaces_follow_folders() => Holds(LayoutRules.Namespaces(Tree));

    /// <summary>Rules that see nothing hold for everything.</summary>
    [Fact]
    public void The_rules_see_the_repository()
    {
        Assert.Contains("src/Xinim.Ipc/Rings/MemoryOrder.cs", Tree.Files.Keys);
        Assert.Contains("src/Xinim.Ipc/Xinim.Ipc.csproj", Tree.Files.Keys);
        Assert.Contains("tests/Xinim.Architecture.Tests/ArchitectureTests.cs", Tree.Files.Keys);
        Assert.Contains("Directory.Build.props", Tree.Files.Keys);
        Assert.DoesNotContain(Tree.Files.Keys, path => path.Contains("/obj/", StringComparison.Ordinal));
    }

    private static void Holds(IEnumerable<string> violations)
    {
        string[] found = [.. violations];
        Assert.True(found.Length == 0, $"{found.Length} places break the rule:\n{string.Join('\n', found)}");
    }
}
