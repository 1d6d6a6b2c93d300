using Xinim.Drivers.Network.Virtio;
using Xunit;

namespace Xinim.Drivers.Tests.Network.Virtio;

public sealed class VirtioNetOptionsTests
{
    [Fact]
    public void Nothing_gives_the_defaults() => Assert.Equal(new VirtioNetOptions(), VirtioNetOptions.Parse(new Dictionary<string, string>()));

    [Fact]
    public void Every_key_is_read()
    {
        Dictionary<string, string> texts = new()
        {
            ["txDescriptors"] = "4", ["rxDescriptors"] = "32768", ["mac"] = "02:00:00:00:00:7f", ["packed"] = "false", ["indirect"] = "true", ["eventIndex"] = "false", ["inOrder"] = "false",
            ["vlanFilter"] = "true", ["headroom"] = "false", ["rxChecksum"] = "false", ["coalesceMicroseconds"] = "10000",
        };
        VirtioNetOptions expected = new()
        {
            TxDescriptors = 4, RxDescriptors = 32768, Packed = false, Indirect = true, EventIndex = false, InOrder = false, VlanFilter = true, Headroom = false, RxChecksum = false, CoalesceMicroseconds = 10_000,
        };
        VirtioNetOptions read = VirtioNetOptions.Parse(texts);
        Assert.Equal("02:00:00:00:00:7f", read.Mac.ToString());
        Assert.Equal(expected, read with { Mac = null });
    }

    [Theory]
    [InlineData("txDescriptors", "100", "option 'txDescriptors' is '100'; allowed: a power of two from 4 to 32768")]
    [InlineData("txDescriptors", "2", "option 'txDescriptors' is '2'; allowed: a power of two from 4 to 32768")]
    [InlineData("rxDescriptors", "65536", "option 'rxDescriptors' is '65536'; allowed: a power of two from 4 to 32768")]
    [InlineData("rxDescriptors", "-4", "option 'rxDescriptors' is '-4'; allowed: a power of two from 4 to 32768")]
    [InlineData("mac", "53:54:00:12:34:56", "option 'mac' is '53:54:00:12:34:56'; allowed: a unicast address such as 52:54:00:12:34:56")]
    [InlineData("mac", "52:54:00:12:34", "option 'mac' is '52:54:00:12:34'; allowed: a unicast address such as 52:54:00:12:34:56")]
    [InlineData("mac", "52:54:0:12:34:567", "option 'mac' is '52:54:0:12:34:567'; allowed: a unicast address such as 52:54:00:12:34:56")]
    [InlineData("mac", "52-54-00-12-34-56", "option 'mac' is '52-54-00-12-34-56'; allowed: a unicast address such as 52:54:00:12:34:56")]
    [InlineData("packed", "1", "option 'packed' is '1'; allowed: true, false")]
    [InlineData("headroom", "12", "option 'headroom' is '12'; allowed: true, false")]
    [InlineData("Packed", "true", "unknown option 'Packed'; allowed: txDescriptors, rxDescriptors, mac, packed, indirect, eventIndex, inOrder, vlanFilter, headroom, rxChecksum, coalesceMicroseconds")]
    [InlineData("coalesceMicroseconds", "10001", "option 'coalesceMicroseconds' is '10001'; allowed: 0 to 10000")]
    public void What_is_wrong_is_named_with_what_is_allowed(string key, string text, string says)
        => Assert.Equal(says, Assert.Throws<ArgumentException>(() => VirtioNetOptions.Parse(new Dictionary<string, string> { [key] = text })).Message);
}
