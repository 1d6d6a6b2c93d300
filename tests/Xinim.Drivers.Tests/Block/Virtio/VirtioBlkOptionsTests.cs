using Xinim.Drivers.Block.Virtio;
using Xunit;

namespace Xinim.Drivers.Tests.Block.Virtio;

public sealed class VirtioBlkOptionsTests
{
    [Fact]
    public void Nothing_gives_the_defaults() => Assert.Equal(new VirtioBlkOptions(), VirtioBlkOptions.Parse(new Dictionary<string, string>()));

    [Fact]
    public void Every_key_is_read()
    {
        Dictionary<string, string> texts = new() { ["descriptors"] = "32768", ["queues"] = "16", ["packed"] = "false", ["indirect"] = "false", ["eventIndex"] = "false" };
        Assert.Equal(new VirtioBlkOptions { Descriptors = 32768, Queues = 16, Packed = false, Indirect = false, EventIndex = false }, VirtioBlkOptions.Parse(texts));
    }

    [Theory]
    [InlineData("descriptors", "100", "option 'descriptors' is '100'; allowed: a power of two from 4 to 32768")]
    [InlineData("descriptors", "2", "option 'descriptors' is '2'; allowed: a power of two from 4 to 32768")]
    [InlineData("queues", "0", "option 'queues' is '0'; allowed: 1 to 16")]
    [InlineData("queues", "17", "option 'queues' is '17'; allowed: 1 to 16")]
    [InlineData("indirect", "yes", "option 'indirect' is 'yes'; allowed: true, false")]
    [InlineData("Queues", "1", "unknown option 'Queues'; allowed: descriptors, queues, packed, indirect, eventIndex")]
    public void What_is_wrong_is_named_with_what_is_allowed(string key, string text, string says)
        => Assert.Equal(says, Assert.Throws<ArgumentException>(() => VirtioBlkOptions.Parse(new Dictionary<string, string> { [key] = text })).Message);
}
