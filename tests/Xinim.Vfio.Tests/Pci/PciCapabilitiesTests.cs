using CsCheck;
using Xinim.Vfio.Pci;
using Xunit;

namespace Xinim.Vfio.Tests.Pci;

public sealed class PciCapabilitiesTests
{
    [Fact]
    public void The_list_of_an_82574L_is_read()
    {
        byte[] config = Config(
            (0xc8, [0x01, 0xd0, 0x23, 0xc8]),
            (0xd0, [0x05, 0xe0, 0x80, 0x00]),
            (0xe0, [0x10, 0xa0, 0x01, 0x00, 0xc0, 0x8c, 0x00, 0x10]),
            (0xa0, [0x11, 0x00, 0x04, 0x00, 0x03, 0x00, 0x00, 0x00, 0x03, 0x20, 0x00, 0x00]));
        PciCapabilities found = PciCapabilities.Parse(config);
        Assert.True(found is { IsComplete: true, HasPowerManagement: true, IsExpress: true, HasFunctionLevelReset: true, MsiVectors: 1 });
        Assert.Equal(new MsiXCapability(5, 3, 0, 3, 0x2000), found.MsiX);
    }

    [Theory]
    [InlineData(0, 1)]
    [InlineData(3, 8)]
    [InlineData(5, 32)]
    [InlineData(7, 32)]
    public void MSI_vectors_are_a_power_of_two_up_to_32(int field, int vectors) =>
        Assert.Equal(vectors, PciCapabilities.Parse(Config((0x40, [0x05, 0, (byte)(field << 1), 0]))).MsiVectors);

    [Fact]
    public void Advanced_features_tell_of_a_function_level_reset()
    {
        Assert.True(PciCapabilities.Parse(Config((0x40, [0x13, 0, 6, 3]))).HasFunctionLevelReset);
        Assert.False(PciCapabilities.Parse(Config((0x40, [0x13, 0, 6, 1]))).HasFunctionLevelReset);
    }

    [Fact]
    public void Without_root_there_are_64_bytes_and_nothing_is_claimed()
    {
        byte[] config = Config((0x40, [0x05, 0, 0, 0]));
        PciCapabilities found = PciCapabilities.Parse(config.AsSpan(0, 64));
        Assert.Equal(new PciCapabilities(), found);
        Assert.False(found.IsComplete);
        Assert.Equal(new PciCapabilities(), PciCapabilities.Parse([]));
    }

    [Fact]
    public void A_list_that_loops_ends_and_keeps_what_it_had()
    {
        Assert.True(PciCapabilities.Parse(Config((0x40, [0x01, 0x50]), (0x50, [0x10, 0x40]))) is { HasPowerManagement: true, IsExpress: true });
        Assert.True(PciCapabilities.Parse(Config((0x40, [0x01, 0x40]))).HasPowerManagement);
    }

    [Fact]
    public void A_pointer_into_the_header_or_to_the_last_byte_is_not_followed()
    {
        byte[] header = Config();
        header[0x34] = 0x10;
        header[0x10] = 0x05;
        Assert.Equal(0, PciCapabilities.Parse(header).MsiVectors);
        // MSI-X needs 12 bytes; four are left.
        Assert.Null(PciCapabilities.Parse(Config((0xfc, [0x11, 0, 4, 0]))).MsiX);
    }

    [Fact]
    public void An_MSI_X_table_in_a_BAR_that_cannot_exist_is_none() =>
        Assert.Null(PciCapabilities.Parse(Config((0x40, [0x11, 0, 4, 0, 6, 0, 0, 0, 0, 0, 0, 0]))).MsiX);

    [Fact]
    public void No_list_where_the_status_register_says_so()
    {
        byte[] config = Config((0x40, [0x05, 0, 0, 0]));
        config[PciConfigSpace.Status] = 0;
        Assert.Equal(0, PciCapabilities.Parse(config).MsiVectors);
    }

    [Fact]
    public void A_device_that_is_gone_reads_all_ones_and_that_ends_too()
    {
        byte[] config = new byte[4096];
        Array.Fill(config, (byte)0xff);
        Assert.Equal(0, PciCapabilities.Parse(config).MsiVectors);
    }

    [Fact]
    public void Any_bytes_of_any_length_are_survived() => Gen.Byte.Array[0, 600].Sample(config =>
    {
        if (config.Length > 0x34) config[PciConfigSpace.Status] |= 0x10;
        PciCapabilities found = PciCapabilities.Parse(config);
        Assert.InRange(found.MsiVectors, 0, 32);
        Assert.True(found.MsiX is null or { Vectors: > 0 and <= 2048, TableBar: >= 0 and <= 5 });
    }, iter: 20_000);

    private static byte[] Config(params (int Offset, byte[] Bytes)[] capabilities)
    {
        byte[] config = new byte[256];
        config[PciConfigSpace.Status] = 0x10;
        if (capabilities.Length > 0) config[PciConfigSpace.CapabilitiesPointer] = (byte)capabilities[0].Offset;
        foreach ((int offset, byte[] bytes) in capabilities) bytes.CopyTo(config, offset);
        return config;
    }
}
