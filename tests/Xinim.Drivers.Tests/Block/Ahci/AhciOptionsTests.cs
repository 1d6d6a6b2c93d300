using Xinim.Drivers.Block.Ahci;
using Xunit;

namespace Xinim.Drivers.Tests.Block.Ahci;

public sealed class AhciOptionsTests
{
    [Fact]
    public void What_is_left_out_has_its_default() => Assert.Equal(new AhciOptions(), AhciOptions.Parse(new Dictionary<string, string>()));

    [Fact]
    public void All_are_read() => Assert.Equal(
        new AhciOptions { Depth = 4, Queued = false, Dma = false, Lba48 = false, TimeoutSeconds = 7, Speed = 2, CoalesceCommands = 8, CoalesceMilliseconds = 3 },
        AhciOptions.Parse(new Dictionary<string, string>
        {
            ["depth"] = "4", ["ncq"] = "false", ["dma"] = "false", ["lba48"] = "false", ["timeout"] = "7", ["speed"] = "2", ["coalesceCommands"] = "8", ["coalesceMilliseconds"] = "3",
        }));

    [Theory]
    [InlineData("depth", "0", "1 to 32")]
    [InlineData("depth", "33", "1 to 32")]
    [InlineData("depth", "-1", "1 to 32")]
    [InlineData("timeout", "0", "1 to 3600")]
    [InlineData("speed", "4", "0 to 3")]
    [InlineData("ncq", "1", "true, false")]
    [InlineData("coalesceCommands", "33", "0 to 32")]
    [InlineData("coalesceMilliseconds", "0", "1 to 1000")]
    [InlineData("queue", "1", "depth, ncq, dma, lba48, timeout, speed, coalesceCommands, coalesceMilliseconds")]
    public void Nonsense_is_refused_with_what_is_allowed(string key, string value, string allowed)
        => Assert.Contains(allowed, Assert.Throws<ArgumentException>(() => AhciOptions.Parse(new Dictionary<string, string> { [key] = value })).Message, StringComparison.Ordinal);
}
