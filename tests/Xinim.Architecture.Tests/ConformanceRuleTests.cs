using Xinim.Architecture.Tests.Rules;
using Xunit;

namespace Xinim.Architecture.Tests;

/// <summary>The rule sees each way in which a row can be wrong.</summary>
public sealed class ConformanceRuleTests
{
    private const string Right = "| §1.1 | words | `A/B.cs:2` `two` | `ATests.Works` |";

    [Fact]
    public void A_right_row_passes() => Assert.Empty(Check(Right));

    [Fact]
    public void What_does_not_apply_needs_a_reason_and_no_place()
    {
        Assert.Empty(Check("| §1.1 | words | not applicable: nobody does it | |"));
        Assert.Single(Check("| §1.1 | words | somewhere | |"));
    }

    [Theory]
    [InlineData("| §1.1 | words | `A/B.cs:1` `two` | `ATests.Works` |", "it stands in line 2")]
    [InlineData("| §1.1 | words | `A/B.cs:2` `three` | `ATests.Works` |", "it stands in line none")]
    [InlineData("| §1.1 | words | `A/B.cs:99` `two` | `ATests.Works` |", "it stands in line 2")]
    [InlineData("| §1.1 | words | `A/C.cs:2` `two` | `ATests.Works` |", "src/A/C.cs is missing")]
    [InlineData("| §1.1 | words | `A/B.cs:2` `two` | `ATests.Fails` |", "no test `ATests.Fails`")]
    [InlineData("| §1.1 | words | `A/B.cs:2` `two` | |", "no place or no test")]
    [InlineData("| §1.1 | words | `A/B.cs:2` `two` |", "3 cells")]
    [InlineData(Right + "\n" + Right, "2 rows of 1 clauses")]
    [InlineData("no table", "0 rows")]
    public void A_wrong_row_is_named(string page, string says) => Assert.Contains(says, Assert.Single(Check(page)), StringComparison.Ordinal);

    [Fact]
    public void A_missing_page_is_seen() => Assert.Single(ConformanceRule.Check(SourceTree.Of()));

    private static IEnumerable<string> Check(string page)
        => ConformanceRule.Check(SourceTree.Of((ConformanceRule.Page, page), ("src/A/B.cs", "one\ntwo\n"), ("tests/T/ATests.cs", "public void Works() { }")), clauses: 1);
}
