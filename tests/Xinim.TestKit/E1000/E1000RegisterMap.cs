namespace Xinim.TestKit.E1000;

/// <summary>Which offsets are registers of which device, from table 13-2 of the 8254x manual and chapter 10 of the 82574 datasheet.</summary>
internal static class E1000RegisterMap
{
    private static readonly HashSet<uint> s_common =
    [
        0x0000, 0x0008, 0x0010, 0x0018, 0x001c, 0x0020, 0x0028, 0x002c, 0x0030, 0x0038, 0x00c0, 0x00c8, 0x00d0, 0x00d8,
        0x0100, 0x0170, 0x0400, 0x0410, 0x0458, 0x0e00, 0x1000, 0x2160, 0x2168,
        0x2800, 0x2804, 0x2808, 0x2810, 0x2818, 0x2820, 0x2828, 0x282c, 0x3800, 0x3804, 0x3808, 0x3810, 0x3818, 0x3820, 0x3828, 0x382c,
        0x5000, 0x5800, 0x5808,
    ];

    private static readonly HashSet<uint> s_express = [0x00dc, 0x00e0, 0x00e4, 0x00e8, 0x00ec, 0x00f0, 0x00f4, 0x00f8, 0x2908, 0x3840, 0x5008, 0x5818, 0x5b50];

    private static readonly HashSet<uint> s_errors =
        [0x4000, 0x4004, 0x4008, 0x400c, 0x4010, 0x4014, 0x4018, 0x401c, 0x4020, 0x4028, 0x4030, 0x4034, 0x403c, 0x4040, 0x40a0, 0x40a8, 0x40ac, 0x40b0];

    /// <summary>Statistics: cleared by a read [SDM §13.7].</summary>
    public static readonly HashSet<uint> ReadToClear = [.. Enumerable.Range(0, 64).Select(i => 0x4000u + (4 * (uint)i))];

    public static bool IsReadToClear(uint offset) => ReadToClear.Contains(offset);

    public static bool IsErrorCounter(uint offset) => s_errors.Contains(offset);

    public static bool IsKnown(uint offset, E1000ModelKind kind)
    {
        if (s_common.Contains(offset) || ReadToClear.Contains(offset)) return true;
        if (offset is (>= 0x5200 and < 0x5480) or (>= 0x5600 and < 0x5800)) return offset % 4 == 0;
        return kind switch
        {
            E1000ModelKind.I82574 => offset is 0x0014 or 0x00c4 || s_express.Contains(offset),
            E1000ModelKind.I82544 => false, // neither EERD nor ITR [SDM §13.4.4, §13.4.18]
            _ => offset is 0x0014 or 0x00c4,
        };
    }

    public static bool IsWritable(uint offset) => offset != 0x0008 && !ReadToClear.Contains(offset);
}
