using Xinim.Ipc.Protocols;
using Xunit;

namespace Xinim.Ipc.Tests.Protocols;

public sealed class OptionTextTests
{
    [Fact]
    public void What_goes_in_comes_out()
    {
        Dictionary<string, string> options = new() { ["a"] = "1", ["name"] = "x=y ü", ["empty"] = "" };

        Assert.Equal(options, OptionText.From(options).ToDictionary());
        Assert.Empty(default(OptionText).ToDictionary());
    }

    [Theory]
    [InlineData("", "1")]
    [InlineData("a=b", "1")]
    [InlineData("a\nb", "1")]
    [InlineData("a", "1\nb=2")]
    [InlineData("a", "1\0")]
    public void What_could_be_taken_for_something_else_is_refused(string key, string value)
    {
        LinuxException refused = Assert.Throws<LinuxException>(() => OptionText.From(new Dictionary<string, string> { [key] = value }));
        Assert.DoesNotContain('\n', refused.Message);
    }

    [Fact]
    public void It_takes_512_bytes_and_not_one_more()
    {
        Dictionary<string, string> options = new() { ["a"] = new string('x', OptionText.Bytes - 2) };
        Assert.Equal(options, OptionText.From(options).ToDictionary());

        options["a"] += "x";
        Assert.Contains("have 513 bytes", Assert.Throws<LinuxException>(() => OptionText.From(options)).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("a")]
    [InlineData("=1")]
    [InlineData("a=1\na=2")]
    public void Nonsense_from_the_other_side_is_refused(string bytes)
    {
        OptionText text = default;
        System.Text.Encoding.UTF8.GetBytes(bytes, text);
        Assert.Throws<LinuxException>(() => text.ToDictionary());
    }
}
