using CsCheck;
using Xinim.Ipc.Memory;
using Xinim.Vfio.Dma;
using Xunit;

namespace Xinim.Vfio.Tests.Dma;

public sealed class ScatterListTests
{
    private static readonly DmaRegion Region = new(1, new Iova(0x10_0000), 0x1_0000, RegionAccess.ReadWrite);

    [Fact]
    public void Neighbours_are_joined_and_others_are_not()
    {
        ScatterList list = new(4);
        Assert.True(list.TryAdd(Region, 0, 0x1000) && list.TryAdd(Region, 0x1000, 0x1000) && list.TryAdd(Region, 0x4000, 0x200));
        Assert.Equal([new ScatterSegment(new Iova(0x10_0000), 0x2000), new ScatterSegment(new Iova(0x10_4000), 0x200)], list.Segments.ToArray());
        Assert.Equal(0x2200ul, list.TotalBytes);
        list.Clear();
        Assert.Equal((0, 0ul), (list.Count, list.TotalBytes));
    }

    [Fact]
    public void Long_parts_and_boundaries_split()
    {
        ScatterList list = new(8, maxSegment: 0x3000, boundary: 0x4000);
        Assert.True(list.TryAdd(new Iova(0x3800), 0x5000));
        Assert.Equal(
            [new(new Iova(0x3800), 0x800), new(new Iova(0x4000), 0x3000), new(new Iova(0x7000), 0x1000), new(new Iova(0x8000), 0x800)],
            list.Segments.ToArray());
    }

    [Fact]
    public void What_does_not_fit_leaves_the_list_as_it_was()
    {
        ScatterList list = new(2, maxSegment: 0x1000);
        Assert.True(list.TryAdd(new Iova(0x1000), 0x800));
        Assert.False(list.TryAdd(new Iova(0x1800), 0x3000));
        Assert.Equal([new ScatterSegment(new Iova(0x1000), 0x800)], list.Segments.ToArray());
        Assert.Equal(0x800ul, list.TotalBytes);
        Assert.True(list.TryAdd(new Iova(0x1800), 0x1800));
    }

    [Theory]
    [InlineData(0, 0)]
    [InlineData(0xffff, 2)]
    [InlineData(0x1_0001, 1)]
    [InlineData(ulong.MaxValue, 2)]
    [InlineData(1, ulong.MaxValue)]
    public void Parts_outside_the_region_are_refused(ulong offset, ulong length) => Assert.False(new ScatterList(4).TryAdd(Region, offset, length));

    [Fact]
    public void The_end_of_the_address_space_does_not_wrap()
    {
        ScatterList list = new(4);
        Assert.False(list.TryAdd(new Iova(ulong.MaxValue), 2));
        Assert.True(list.TryAdd(new Iova(ulong.MaxValue - 0xfff), 0x1000));
        Assert.True(list.TryAdd(new Iova(0), 0x1000));
        Assert.Equal(2, list.Count);
    }

    [Fact]
    public void Segments_always_cover_exactly_what_was_added() =>
        Gen.Select(Gen.ULong[0, 1 << 20], Gen.ULong[1, 1 << 16]).Array[1, 20].Select(Gen.UInt[1, 1 << 14], Gen.Int[0, 16]).Sample((parts, longest, shift) =>
        {
            ulong boundary = shift == 0 ? 0 : 1UL << shift;
            ScatterList list = new(1000, longest, boundary);
            List<ulong> wanted = [];
            foreach ((ulong start, ulong length) in parts)
            {
                if (list.TryAdd(new Iova(start), length)) wanted.AddRange([start, start + length]);
            }

            ulong total = 0;
            foreach (ScatterSegment segment in list.Segments)
            {
                Assert.InRange(segment.Length, 1u, longest);
                if (boundary != 0) Assert.Equal(segment.Start.Value / boundary, (segment.Start.Value + segment.Length - 1) / boundary);
                total += segment.Length;
            }

            Assert.Equal(total, list.TotalBytes);
            Assert.Equal(Flatten(list.Segments.ToArray().SelectMany(s => new[] { s.Start.Value, s.Start.Value + s.Length })), Flatten(wanted));
        }, iter: 500);

    /// <summary>Joins spans that touch, so that both sides are comparable whatever the cuts.</summary>
    private static List<ulong> Flatten(IEnumerable<ulong> bounds)
    {
        List<ulong> flat = [];
        foreach (ulong[] span in bounds.Chunk(2))
        {
            if (flat.Count > 0 && flat[^1] == span[0]) flat[^1] = span[1];
            else flat.AddRange(span);
        }

        return flat;
    }
}
