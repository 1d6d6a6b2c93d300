using Xinim.Vfio.Dma;

namespace Xinim.Drivers.Block.Ahci;

/// <summary>What a port shares with the controller [AHCI §4]. The device may write to all of it at any time: nothing is read back from it but what it is to write.</summary>
internal sealed class AhciMemory
{
    /// <summary>Entries of a command list [AHCI §4.2.2].</summary>
    public const int Slots = 32;

    /// <summary>Bytes of the answer to IDENTIFY, of a log page, of a block of ranges.</summary>
    public const uint PageBytes = 512;

    /// <summary>Bytes of zeroes that one command can write, from one piece of memory over and over.</summary>
    public const uint MaxZeroBytes = CommandTable.MaxRegions * ZeroBytes;

    private const uint ZeroBytes = 1 << 16;

    /// <param name="zeroes">One for all ports.</param>
    /// <param name="forbidden">Address bits that the controller does not have.</param>
    public AhciMemory(DmaArena arena, DmaBuffer<ulong> zeroes, ulong forbidden)
    {
        List = arena.Allocate<CommandHeader>(Slots, 1024);
        Received = arena.Allocate<uint>(ReceivedFis.Words, 256);
        Tables = arena.Allocate<CommandTable>(Slots, 128);
        JobTable = arena.Allocate<CommandTable>(1, 128);
        DmaBlock page = arena.AllocateBlock(PageBytes, PageBytes);
        Page = page.View<ushort>(0, PageBytes / sizeof(ushort));
        Ranges = page.View<ulong>(0, PageBytes / sizeof(ulong));
        Zeroes = zeroes;
        Forbidden = forbidden;
        if ((List.Iova.Value & forbidden) != 0) throw new InvalidOperationException($"the work region at {List.Iova} is beyond the controller's 32 address bits (CAP.S64A is 0); it must be below 4 GiB [AHCI §3.1.1]");
        for (uint slot = 0; slot < Slots; slot++) List[slot].SetTable(TableOf(slot));
    }

    public DmaBuffer<CommandHeader> List { get; }

    /// <summary>See <see cref="ReceivedFis"/>.</summary>
    public DmaBuffer<uint> Received { get; }

    public DmaBuffer<CommandTable> Tables { get; }

    /// <summary>For the driver's own commands, which go before requests that wait in their slots.</summary>
    public DmaBuffer<CommandTable> JobTable { get; }

    /// <summary>What the device answers to those.</summary>
    public DmaBuffer<ushort> Page { get; }

    /// <summary>The same memory: ranges of a TRIM, which is never out together with one of those.</summary>
    public DmaBuffer<ulong> Ranges { get; }

    public DmaBuffer<ulong> Zeroes { get; }

    public ulong Forbidden { get; }

    /// <summary>For <see cref="AhciMemory(DmaArena, DmaBuffer{ulong}, ulong)"/>.</summary>
    public static DmaBuffer<ulong> AllocateZeroes(DmaArena arena) => arena.Allocate<ulong>(ZeroBytes / sizeof(ulong), 4096);

    public Iova TableOf(uint slot) => Tables.Iova + (slot * (ulong)CommandTable.Bytes);

    /// <summary>
    /// Takes every command away, so that none is done twice: QEMU 7.2 keeps PxCI over PxCMD.ST and over resets, against [AHCI §3.3.14], and fetches
    /// what it finds there once more. It drops commands that are none.
    /// </summary>
    public void ForgetCommands()
    {
        for (uint slot = 0; slot < Slots; slot++) Tables[slot].Fis = default;
        JobTable[0].Fis = default;
    }
}
