using Xinim.Drivers.Network.E1000;
using Xinim.TestKit.E1000;
using Xunit;

namespace Xinim.Drivers.Tests.Network.E1000;

public sealed class E1000OptionsTests
{
    [Fact]
    public void Nothing_gives_the_defaults() => Assert.Equal(new E1000Options(), E1000Options.Parse(new Dictionary<string, string>()));

    [Fact]
    public void Every_key_is_read()
    {
        Dictionary<string, string> texts = new() { ["txDescriptors"] = "512", ["rxDescriptors"] = "4096", ["throttleInterval"] = "0", ["segmentation"] = "false" };
        E1000Options expected = new() { TxDescriptors = 512, RxDescriptors = 4096, ThrottleInterval = 0, Segmentation = false };

        Assert.Equal(expected, E1000Options.Parse(texts));
    }

    [Theory]
    [InlineData("txDescriptors", "100", "option 'txDescriptors' is 100; allowed: a power of two from 64 to 4096")]
    [InlineData("rxDescriptors", "32", "option 'rxDescriptors' is 32; allowed: a power of two from 64 to 4096")]
    [InlineData("rxDescriptors", "8192", "option 'rxDescriptors' is '8192'; allowed: a whole number up to 4096")]
    [InlineData("txDescriptors", "-64", "option 'txDescriptors' is '-64'; allowed: a whole number up to 4096")]
    [InlineData("txDescriptors", "5e2", "option 'txDescriptors' is '5e2'; allowed: a whole number up to 4096")]
    [InlineData("throttleInterval", "65536", "option 'throttleInterval' is '65536'; allowed: a whole number up to 65535")]
    [InlineData("segmentation", "1", "option 'segmentation' is '1'; allowed: true, false")]
    [InlineData("TxDescriptors", "512", "unknown option 'TxDescriptors'; allowed: txDescriptors, rxDescriptors, throttleInterval, segmentation")]
    public void What_is_wrong_is_named_with_what_is_allowed(string key, string text, string says)
        => Assert.Equal(says, Assert.Throws<ArgumentException>(() => E1000Options.Parse(new Dictionary<string, string> { [key] = text })).Message);

    [Fact]
    public void The_drivers_context_carries_them_to_the_device()
    {
        Dictionary<string, string> texts = new() { ["txDescriptors"] = "128", ["rxDescriptors"] = "256" };
        using E1000Bench bench = new E1000Bench(E1000ModelKind.I82540, settings: texts).Started(post: 60);

        Assert.Equal(128u * 16, bench.Model.Peek(0x3808));
        Assert.Equal(256u * 16, bench.Model.Peek(0x2808));
    }
}
