using Xinim.Ipc;
using Xinim.Vfio.Dma;
using Xunit;

namespace Xinim.Vfio.Tests.Dma;

public sealed class HugePagesTests : IDisposable
{
    private readonly string _root = Directory.CreateTempSubdirectory("xinim-huge-").FullName;
    private long _possible = 1000;

    public HugePagesTests()
    {
        Pool("kernel/mm/hugepages/hugepages-2048kB", 4, 3);
        Pool("devices/system/node/node0/hugepages/hugepages-2048kB", 4, 3);
        Directory.CreateDirectory(Path.Combine(_root, "proc"));
        File.WriteAllText(Path.Combine(_root, "proc/meminfo"), "MemTotal: 9 kB\nMemAvailable:  2097152 kB\n");
    }

    public void Dispose() => Directory.Delete(_root, recursive: true);

    [Fact]
    public void Pools_are_read_for_the_machine_and_for_a_node()
    {
        Assert.Equal([new HugePagePool(HugePages.TwoMiB, 4, 3)], Pages.Read());
        Pool("kernel/mm/hugepages/hugepages-1048576kB", 1, 1);
        Assert.Equal([new HugePagePool(HugePages.TwoMiB, 4, 3), new HugePagePool(HugePages.OneGiB, 1, 1)], Pages.Read());
        Assert.Equal([new HugePagePool(HugePages.TwoMiB, 4, 3, 0)], Pages.Read(0));
        Assert.Empty(Pages.Read(1));
    }

    [Fact]
    public void A_reservation_that_is_met_gives_no_reason()
    {
        HugePageReservation reservation = Pages.Reserve(128);
        Assert.Equal((128, 128, null), (reservation.Wanted, reservation.Pool.Total, reservation.Reason));
        Assert.Equal(16, Pages.Reserve(16, node: 0).Pool.Total);
    }

    [Fact]
    public void A_larger_pool_is_left_alone() => Assert.Equal(4, Pages.Reserve(2).Pool.Total);

    [Fact]
    public void Fewer_pages_come_with_the_reason()
    {
        _possible = 20;
        string fragmented = Pages.Reserve(128).Reason!;
        Assert.Contains("20 of 128 pages of 2 MiB", fragmented, StringComparison.Ordinal);
        Assert.Contains("fragmented", fragmented, StringComparison.Ordinal);
        File.WriteAllText(Path.Combine(_root, "proc/meminfo"), "MemAvailable: 4096 kB\n");
        string full = Pages.Reserve(128).Reason!;
        Assert.Contains("only 4 MiB of memory are available", full, StringComparison.Ordinal);
        Assert.Contains("'hugepages=128'", full, StringComparison.Ordinal);
    }

    [Fact]
    public void A_size_that_the_machine_lacks_is_said() =>
        Assert.Contains("no pages of 1024 MiB", Assert.Throws<LinuxException>(() => Pages.Reserve(1, HugePages.OneGiB)).Message, StringComparison.Ordinal);

    private HugePages Pages => new(_root, Path.Combine(_root, "proc"), (path, text) =>
        File.WriteAllText(path, Math.Min(long.Parse(text, System.Globalization.CultureInfo.InvariantCulture), _possible).ToString(System.Globalization.CultureInfo.InvariantCulture)));

    private void Pool(string path, int total, int free)
    {
        Directory.CreateDirectory(Path.Combine(_root, path));
        File.WriteAllText(Path.Combine(_root, path, "nr_hugepages"), $"{total}\n");
        File.WriteAllText(Path.Combine(_root, path, "free_hugepages"), $"{free}\n");
    }
}
