using Xunit;

namespace Xinim.Architecture.Tests;

/// <summary>The rules stand on this: prose goes, code and line numbers stay.</summary>
public sealed class CodeTextTests
{
    [Theory]
    [InlineData("a // b\nc", "a     \nc")]
    [InlineData("a /* b\n b */ c", "a     \n      c")]
    [InlineData("a \"b\\\"b\" c", "a        c")]
    [InlineData("a @\"b\\\" c", "a       c")]
    [InlineData("a @\"b\"\"b\" c", "a         c")]
    [InlineData("a $@\"b\\\" c", "a        c")]
    [InlineData("a \"\"\"b\"\n\"b\"\"\" c", "a      \n      c")]
    [InlineData("a '\"' c '\\'' d", "a     c      d")]
    [InlineData("a \"open\nb", "a      \nb")]
    [InlineData("a /* open", "a        ")]
    public void Prose_is_blanked(string text, string code) => Assert.Equal(code, CodeText.Blank(text));
}
