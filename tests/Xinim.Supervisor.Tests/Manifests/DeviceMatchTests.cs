using Xinim.Supervisor.Manifests;
using Xinim.Vfio;

namespace Xinim.Supervisor.Tests.Manifests;

/// <summary>Which device an entry of a manifest means, and which entry wins.</summary>
public sealed class DeviceMatchTests
{
    private static readonly PciIdentity s_nic = new(0x8086, 0x100e, 0x1af4, 0x1100, 0x020001, 3);

    [Theory]
    [InlineData("8086:100e:1af4:1100", true)]
    [InlineData("8086:100e:1af4:1101", false)]
    [InlineData("8086:100e", true)]
    [InlineData("8086:100E", true)]
    [InlineData("8086:100f", false)]
    [InlineData("100e:8086", false)]
    [InlineData("8086:*", true)]
    [InlineData("8087:*", false)]
    [InlineData("class:020001", true)]
    [InlineData("class:020000", false)]
    [InlineData("class:0200", true)]
    [InlineData("class:0280", false)]
    [InlineData("class:02", true)]
    [InlineData("class:01", false)]
    public void Matches(string text, bool expected) => Assert.Equal(expected, DeviceMatch.Parse(text)!.IsFor(s_nic));

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("8086")]
    [InlineData("8086:")]
    [InlineData("8086:100e:1af4")]
    [InlineData("8086:100g")]
    [InlineData("+086:100e")]
    [InlineData("08086:100e")]
    [InlineData("*:*")]
    [InlineData("*:100e")]
    [InlineData("class:")]
    [InlineData("class:2")]
    [InlineData("class:02000")]
    [InlineData("class:02:00")]
    public void Nonsense_is_none(string? text) => Assert.Null(DeviceMatch.Parse(text));

    [Fact]
    public void More_specific_entries_rank_higher()
    {
        string[] order = ["class:02", "class:0200", "class:020001", "8086:*", "8086:100e", "8086:100e:1af4:1100"];
        int[] ranks = [.. order.Select(text => DeviceMatch.Parse(text)!.Rank)];
        Assert.Equal(ranks.Order(), ranks);
        Assert.Equal(ranks.Distinct(), ranks);
    }
}
