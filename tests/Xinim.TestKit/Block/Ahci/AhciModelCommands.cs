using System.Buffers.Binary;

namespace Xinim.TestKit.Block.Ahci;

/// <summary>What a port of <see cref="AhciModel"/> and its disk do with a command: the list, the table, the data.</summary>
internal sealed class AhciModelCommands(AhciModel model, AhciModelPort port)
{
    private const byte Aborted = 4;
    private readonly byte[] _header = new byte[32];
    private readonly byte[] _table = new byte[0x80];
    private readonly byte[] _data = new byte[32 << 20];

    public void Execute(int slot, bool active)
    {
        AtaDiskModel disk = port.Disk!;
        if (!model.Dma.Read(port.CommandList + (32ul * (uint)slot), _header)) return;
        uint flags = BinaryPrimitives.ReadUInt32LittleEndian(_header);
        ulong table = BinaryPrimitives.ReadUInt64LittleEndian(_header.AsSpan(8));
        if (table % 128 != 0) port.Break($"command table 0x{table:x} is not aligned [AHCI §4.2.2]");
        if ((flags & 0x1f) != 5) port.Break($"CFL is {flags & 0x1f} [AHCI §4.2.2]");
        if (!model.Dma.Read(table, _table)) return;
        if (_table[0] != 0x27 || _table[1] != 0x80)
        {
            port.Break($"slot {slot} holds no command: FIS {_table[0]:x2} {_table[1]:x2}");
            return;
        }

        AtaCommandModel command = Parse(slot, active);
        if (disk.Remember) disk.Seen.Add(command);
        if (active) port.Accept(slot);
        if (command.Queued != active) port.Break($"PxSACT and command 0x{command.Command:x2} of slot {slot} do not agree [SATA §13.6]");
        if (disk.QueueError is not null && command.Command != 0x2f)
        {
            End(command, Aborted, 0);
            return;
        }

        AtaFault? fault = disk.Fault?.Invoke(command);
        if (fault is { Kind: not (AtaFaultKind.TaskFile or AtaFaultKind.LostInterrupt) }) port.Fail(slot, fault.Kind);
        else if (fault is { Kind: AtaFaultKind.TaskFile }) End(command, fault.Error, fault.Lba);
        else
        {
            byte error = Do(disk, command, flags, table);
            if (fault is not null) port.Fail(slot, fault.Kind);
            else if (command.Command != 0xb0 || (command.Features & 0xff) != 0xda) End(command, error, command.Lba);
            else port.Finish(slot, 0x50, 0, disk.Failing ? 0x2c_f400ul : 0xc2_4f00, false);
        }
    }

    private AtaCommandModel Parse(int slot, bool active)
    {
        byte[] fis = _table;
        ulong lba = fis[4] | ((ulong)fis[5] << 8) | ((ulong)fis[6] << 16) | ((ulong)fis[8] << 24) | ((ulong)fis[9] << 32) | ((ulong)fis[10] << 40);
        uint features = fis[3] | ((uint)fis[11] << 8), count = fis[12] | ((uint)fis[13] << 8);
        bool queued = fis[2] is 0x60 or 0x61;
        if (queued && count >> 3 != (uint)slot) port.Break($"tag {count >> 3} in slot {slot} [SATA §13.6]");
        if (queued) count = features;
        bool ext = fis[2] is 0x24 or 0x25 or 0x34 or 0x35 or 0x3d || queued;
        bool small = fis[2] is 0x20 or 0x30 or 0xc8 or 0xca;
        if (small) lba = (lba & 0xff_ffff) | ((ulong)(fis[7] & 0xf) << 24);
        if ((ext || small) && (fis[7] & 0x40) == 0) port.Break("no LBA mode [ACS §7]");
        if (count == 0) count = ext ? 65536u : small ? 256u : 0;
        _ = active;
        return new AtaCommandModel(slot, fis[2], lba, count, features, fis[7], queued);
    }

    private void End(AtaCommandModel command, byte error, ulong lba)
    {
        if (!command.Queued)
        {
            port.Finish(command.Slot, (byte)(error != 0 ? 0x51 : 0x50), error, lba, command.Command is 0xec or 0xa1 or 0x2f or 0x20 or 0x24);
            return;
        }

        if (error != 0) port.Disk!.QueueError = LogPage(command.Slot, error, lba);
        port.FinishQueued(error != 0 ? 0 : 1u << command.Slot, error);
    }

    private byte Do(AtaDiskModel disk, AtaCommandModel command, uint flags, ulong table)
    {
        switch (command.Command)
        {
            case 0x20 or 0x24 or 0x25 or 0x60 or 0xc8:
                if (OutOfRange(disk, command)) return 0x10;
                Span<byte> read = _data.AsSpan(0, checked((int)(command.Count * disk.SectorBytes)));
                if (disk.Remember) disk.Read(command.Lba, read);
                return Move(flags, table, read, toDevice: false);
            case 0x30 or 0x34 or 0x35 or 0x3d or 0x61 or 0xca:
                if (OutOfRange(disk, command)) return 0x10;
                Span<byte> write = _data.AsSpan(0, checked((int)(command.Count * disk.SectorBytes)));
                if (Move(flags, table, write, toDevice: true) != 0) return Aborted;
                if (disk.Remember) disk.Write(command.Lba, write);
                return 0;
            case 0xec: return Answer(flags, table, System.Runtime.InteropServices.MemoryMarshal.AsBytes<ushort>(disk.Identify));
            case 0xa1: return Answer(flags, table, System.Runtime.InteropServices.MemoryMarshal.AsBytes<ushort>(disk.Identify));
            case 0xa0: return DoPacket(disk, flags, table);
            case 0x2f: return ReadLog(disk, command, flags, table);
            case 0x06: return Trim(disk, command, flags, table);
            case 0xb0 when (command.Features & 0xff) == 0xd0: return Answer(flags, table, disk.SmartData());
            case 0xb0: return 0;
            case 0xef when (command.Features & 0xff) is 0x02 or 0x82: disk.WriteCache = (command.Features & 0xff) == 0x02; return 0;
            case 0xe0 or 0xe1 or 0xe7 or 0xea: return 0;
            default: return Aborted;
        }
    }

    /// <summary>The sense key of a failure is the upper half of the error register [ACS §7].</summary>
    private byte DoPacket(AtaDiskModel drive, uint flags, ulong table)
    {
        if ((flags & 0x20) == 0) port.Break("PACKET without A in the header [AHCI §4.2.2]");
        if (drive.Attention)
        {
            drive.Attention = false;
            return 0x60;
        }

        Span<byte> packet = _table.AsSpan(0x40, 12);
        if (packet[0] is 0x1b or 0x1e) return MoveTray(drive, packet, flags);
        if (drive.DiscBlocks == 0 || drive.TrayOpen) return 0x20;
        uint lba = BinaryPrimitives.ReadUInt32BigEndian(packet[2..]), count = BinaryPrimitives.ReadUInt32BigEndian(packet[6..]);
        if (packet[0] == 0x25)
        {
            byte[] capacity = new byte[8];
            BinaryPrimitives.WriteUInt32BigEndian(capacity, drive.DiscBlocks - 1);
            BinaryPrimitives.WriteUInt32BigEndian(capacity.AsSpan(4), 2048);
            return Answer(flags, table, capacity);
        }

        if (packet[0] != 0xa8 || (ulong)lba + count > drive.DiscBlocks) return 0x50;
        Span<byte> data = _data.AsSpan(0, (int)count * 2048);
        drive.Read(lba, data);
        return Move(flags, table, data, toDevice: false);
    }

    /// <summary>START STOP UNIT and PREVENT ALLOW MEDIUM REMOVAL, which have no data [MMC-6].</summary>
    private byte MoveTray(AtaDiskModel drive, ReadOnlySpan<byte> packet, uint flags)
    {
        if (flags >> 16 != 0) port.Break("regions for a packet without data");
        if (packet[0] == 0x1e)
        {
            drive.TrayLocked = (packet[4] & 1) != 0;
            return 0;
        }

        if ((packet[4] & 2) == 0) return 0x50;
        bool close = (packet[4] & 1) != 0;
        if (!close && drive.TrayLocked) return 0x50;
        drive.Attention |= close && drive.TrayOpen;
        drive.TrayOpen = !close;
        return 0;
    }

    private byte ReadLog(AtaDiskModel disk, AtaCommandModel command, uint flags, ulong table)
    {
        if (disk.NoLogs || (command.Lba & 0xff) != 0x10 || command.Count != 1) return Aborted;
        byte[] page = disk.QueueError ?? LogPage(0x80, 0, 0);
        disk.QueueError = null;
        return Answer(flags, table, page);
    }

    private byte Trim(AtaDiskModel disk, AtaCommandModel command, uint flags, ulong table)
    {
        Span<byte> ranges = _data.AsSpan(0, (int)command.Count * 512);
        if (command.Features != 1 || command.Count == 0 || Move(flags, table, ranges, toDevice: true) != 0) return Aborted;
        for (int at = 0; at < ranges.Length; at += 8)
        {
            ulong range = BinaryPrimitives.ReadUInt64LittleEndian(ranges[at..]);
            ulong lba = range & ((1ul << 48) - 1), count = range >> 48;
            if (lba + count > disk.Sectors) return 0x10;
            disk.Trim(lba, (uint)count);
        }

        return 0;
    }

    private byte Answer(uint flags, ulong table, ReadOnlySpan<byte> from)
    {
        from.CopyTo(_data);
        return Move(flags, table, _data.AsSpan(0, from.Length), toDevice: false);
    }

    /// <summary>Moves data by the table of regions, which must be as long as the data [AHCI §4.2.3.3].</summary>
    private byte Move(uint flags, ulong table, Span<byte> data, bool toDevice)
    {
        if (((flags & 0x40) != 0) != toDevice) port.Break("the header's W and the command do not agree [AHCI §4.2.2]");
        Span<byte> entry = stackalloc byte[16];
        for (uint i = 0; i < flags >> 16; i++)
        {
            if (!model.Dma.Read(table + 0x80 + (16ul * i), entry)) return Aborted;
            ulong at = BinaryPrimitives.ReadUInt64LittleEndian(entry);
            uint bytes = (BinaryPrimitives.ReadUInt32LittleEndian(entry[12..]) & 0x3f_ffff) + 1;
            if (((at | bytes) & 1) != 0) port.Break($"region {i}: {bytes} bytes at 0x{at:x} [AHCI §4.2.3.3]");
            if (bytes > data.Length)
            {
                port.Break("the regions are longer than the data");
                return Aborted;
            }

            if (!(toDevice ? model.Dma.Read(at, data[..(int)bytes]) : model.Dma.Write(at, data[..(int)bytes]))) return Aborted;
            data = data[(int)bytes..];
        }

        if (data.Length != 0) port.Break($"the regions are {data.Length} bytes shorter than the data");
        return 0;
    }

    private static bool OutOfRange(AtaDiskModel disk, AtaCommandModel command) => command.Lba + command.Count > disk.Sectors;

    /// <summary>Log 10h, with its checksum [ACS §9].</summary>
    private static byte[] LogPage(int tag, byte error, ulong lba)
    {
        byte[] page = new byte[512];
        page[0] = (byte)tag;
        (page[2], page[3]) = (0x41, error);
        (page[4], page[5], page[6]) = ((byte)lba, (byte)(lba >> 8), (byte)(lba >> 16));
        (page[8], page[9], page[10]) = ((byte)(lba >> 24), (byte)(lba >> 32), (byte)(lba >> 40));
        byte sum = 0;
        foreach (byte value in page) sum += value;
        page[511] = (byte)-sum;
        return page;
    }
}
