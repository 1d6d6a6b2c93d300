using CsCheck;
using Xinim.Vfio.Pci;
using Xunit;

namespace Xinim.Vfio.Tests.Pci;

public sealed class PciAddressTests
{
    [Fact]
    public void Both_forms_are_read_and_the_long_one_is_written()
    {
        Assert.Equal(new PciAddress(0, 0, 3, 0), PciAddress.Parse("00:03.0"));
        Assert.Equal(new PciAddress(0x10000, 0xe1, 0x1f, 7), PciAddress.Parse("10000:e1:1f.7"));
        Assert.Equal("0000:00:03.0", PciAddress.Parse("00:03.0").ToString());
        Assert.Equal("10000:e1:1f.7", PciAddress.Parse("10000:e1:1f.7").ToString());
    }

    [Fact]
    public void Every_address_survives_the_round_trip() => Gen.Select(Gen.UInt, Gen.Byte, Gen.Byte[0, 31], Gen.Byte[0, 7])
        .Sample((domain, bus, device, function) =>
        {
            PciAddress address = new(domain, bus, device, function);
            return PciAddress.Parse(address.ToString()) == address;
        });

    [Theory]
    [InlineData("")]
    [InlineData("00:03")]
    [InlineData("00:03.8")]
    [InlineData("00:20.0")]
    [InlineData("0:03.0")]
    [InlineData("0000:00:03.0.1")]
    [InlineData("0000:00:03.0\n")]
    [InlineData("../../../etc:00:03.0")]
    [InlineData("00:+3.0")]
    [InlineData("remote:e1000")]
    public void Nonsense_is_refused(string text)
    {
        Assert.False(PciAddress.TryParse(text, out _));
        Assert.Contains("is not a PCI address", Assert.Throws<FormatException>(() => PciAddress.Parse(text)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Addresses_sort_as_numbers()
    {
        PciAddress[] sorted = [new(0, 0, 2, 0), new(0, 0, 2, 1), new(0, 0, 10, 0), new(0, 1, 0, 0), new(1, 0, 0, 0)];
        Assert.Equal(sorted, sorted.Reverse().Order());
        Assert.True(sorted[0] < sorted[1] && sorted[1] >= sorted[0] && sorted[4] > sorted[3] && sorted[3] <= sorted[4]);
    }
}
