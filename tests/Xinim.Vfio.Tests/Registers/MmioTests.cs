using Xinim.Ipc.Memory;
using Xinim.Vfio.Registers;
using Xunit;

namespace Xinim.Vfio.Tests.Registers;

public sealed unsafe class MmioTests : IDisposable
{
    private readonly SharedRegion _memory = SharedRegion.Create("xinim-test", 4096, PageChoice.Ordinary);
    private readonly RecordingChannel _channel = new();

    [Flags]
    private enum Bits : uint
    {
        Low = 1,
        Middle = 1 << 8,
        High = 1u << 31,
    }

    public void Dispose() => _memory.Dispose();

    [Fact]
    public void Each_width_reaches_its_bytes_little_endian()
    {
        Mmio bar = Mapped();
        bar.Write64(8, 0x8877665544332211);
        Assert.Equal((0x11, 0x4433, 0x88776655u, 0x8877665544332211), (bar.Read8(8), bar.Read16(10), bar.Read32(12), bar.Read64(8)));
        bar.Write8(9, 0xaa);
        bar.Write16(10, 0xbbcc);
        bar.Write32(12, 0xddeeff00);
        Assert.Equal(0xddeeff00bbccaa11, bar.Read64(8));
        Assert.Equal(0, bar.Read8(7));
        Assert.Equal(0, bar.Read8(16));
    }

    [Theory]
    [InlineData(4096u)]
    [InlineData(4094u)]
    [InlineData(2u)]
    [InlineData(uint.MaxValue - 3)]
    public void Outside_and_unaligned_are_refused(uint offset)
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => Mapped().Read32(offset));
        Assert.Throws<ArgumentOutOfRangeException>(() => Mapped().Write32(offset, 0));
        Assert.Throws<ArgumentOutOfRangeException>(() => new Mmio(_channel, 2, 4096).Read32(offset));
        Assert.Empty(_channel.Log);
    }

    [Fact]
    public void A_BAR_shorter_than_the_access_is_refused() => Assert.Throws<ArgumentOutOfRangeException>(() => new Mmio(_channel, 0, 2).Read32(0));

    [Fact]
    public void A_channel_gets_bar_offset_and_width()
    {
        Mmio bar = new(_channel, 2, 64);
        bar.Write16(6, 0x1234);
        _channel.Value = 0xfedcba98_76543210;
        Assert.Equal((0x10, 0x3210, 0x76543210u, 0xfedcba9876543210), (bar.Read8(1), bar.Read16(2), bar.Read32(4), bar.Read64(8)));
        Assert.Equal(["w 2 6 2 1234", "r 2 1 1", "r 2 2 2", "r 2 4 4", "r 2 8 8"], _channel.Log);
    }

    [Fact]
    public void Typed_registers_make_one_access_or_two()
    {
        Mmio bar = new(_channel, 0, 64);
        _channel.Value = (uint)(Bits.Low | Bits.High);
        Register<Bits> plain = new(bar, 8);
        plain.Set(Bits.Middle);
        plain.Clear(Bits.High);
        plain.Write(Bits.High);
        Assert.Equal(Bits.Low | Bits.High, plain.Read());
        Assert.Equal(["r 0 8 4", "w 0 8 4 80000101", "r 0 8 4", "w 0 8 4 1", "w 0 8 4 80000000", "r 0 8 4"], _channel.Log);
        _channel.Log.Clear();
        new WriteOneToClearRegister<Bits>(bar, 12).Acknowledge(Bits.Middle);
        Assert.Equal(Bits.Low | Bits.High, new ReadToClearRegister<Bits>(bar, 16).ReadAndClear());
        new WriteOnlyRegister<uint>(bar, 20).Write(7);
        Assert.Equal(Bits.Low | Bits.High, new ReadOnlyRegister<Bits>(bar, 24).Read());
        Assert.Equal(["w 0 12 4 100", "r 0 16 4", "w 0 20 4 7", "r 0 24 4"], _channel.Log);
    }

    [Fact]
    public void A_table_has_an_end()
    {
        RegisterTable table = new(new Mmio(_channel, 0, 64), 16, 4);
        table.Write(3, 5);
        Assert.Equal(["w 0 28 4 5"], _channel.Log);
        Assert.Throws<ArgumentOutOfRangeException>(() => table.Read(4));
    }

    private Mmio Mapped() => new((void*)_memory.Address, 4096);

    private sealed class RecordingChannel : RegisterChannel
    {
        public List<string> Log { get; } = [];

        public ulong Value { get; set; }

        public override ulong Read(int bar, uint offset, int size)
        {
            Log.Add($"r {bar} {offset} {size}");
            return Value;
        }

        public override void Write(int bar, uint offset, int size, ulong value) => Log.Add($"w {bar} {offset} {size} {value:x}");
    }
}
