using System.Buffers.Binary;

namespace Xinim.TestKit.E1000;

// The receive unit: filters, tags, checksums, frames over several buffers [SDM §3.2, §13.5].
public sealed partial class E1000Model
{
    private const int BufferBytes = 2048;

    private uint _rxOwned;

    /// <summary>Frames that the filters let through and that reached memory.</summary>
    public ulong FramesReceived { get; private set; }

    /// <summary>Descriptors that the device may fill.</summary>
    public uint ReceiveAvailable => _rxOwned;

    /// <summary>LEN has bits 7 to 19 [SDM §13.4.27]: whatever was written, a ring has at most 65,536 descriptors.</summary>
    private uint RxCount => (this[Rdlen] & 0xf_ff80) / 16;

    private ulong RxBase => ((ulong)this[Rdbah] << 32) | this[Rdbal];

    private bool Extended => IsExpress && (this[Rfctl] & (1u << 15)) != 0;

    /// <summary>A frame arrives from the wire, without FCS; it is padded to 60 bytes.</summary>
    /// <returns>True where it reached memory.</returns>
    public bool Receive(ReadOnlySpan<byte> frame)
    {
        if (_link is null || (this[Rctl] & RctlEnable) == 0) return false;
        Span<byte> buffer = stackalloc byte[16384];
        int bytes = Math.Max(60, frame.Length);
        if (bytes > 16380) return false;
        frame.CopyTo(buffer);
        buffer[frame.Length..bytes].Clear();
        if (bytes > LongestFrame(buffer))
        {
            Count(0x4040);
            return false;
        }

        if (!PassesAddress(buffer) || !PassesVlan(buffer)) return false;
        ushort tag = 0;
        uint status = 0;
        if ((this[Ctrl] & CtrlVme) != 0 && IsTagged(buffer))
        {
            tag = BinaryPrimitives.ReadUInt16BigEndian(buffer[14..]);
            buffer[16..bytes].CopyTo(buffer[12..]);
            bytes -= 4;
            status |= 1u << 3;
        }

        uint errors = Has(E1000Misbehaviour.DamagedFrames) ? 1u : 0;
        CheckSums(buffer[..bytes], ref status, ref errors);
        if (!Deliver(buffer[..bytes], status, errors, tag)) return Overrun();
        FramesReceived++;
        Count(0x4074);
        CountOctets(0x4088, bytes + 4);
        if (buffer[..6].IndexOfAnyExcept((byte)0xff) < 0) Count(0x4078);
        else if ((buffer[0] & 1) != 0) Count(0x407c);
        uint threshold = RxCount >> (int)(1 + ((this[Rctl] >> 8) & 3));
        uint causes = UsesVectors ? CauseRxq0 : CauseRxt0;
        Cause(_rxOwned <= threshold ? causes | CauseRxdmt0 : causes);
        return true;
    }

    private bool Overrun()
    {
        Count(0x4010);
        Count(0x40a0);
        Cause(CauseRxo);
        return false;
    }

    private int LongestFrame(ReadOnlySpan<byte> frame) => (this[Rctl] & (1u << 5)) != 0 ? 16380 : IsTagged(frame) ? 1522 - 4 + 4 : 1518;

    private bool IsTagged(ReadOnlySpan<byte> frame) => BinaryPrimitives.ReadUInt16BigEndian(frame[12..]) == (ushort)this[Vet];

    private bool PassesVlan(ReadOnlySpan<byte> frame)
    {
        if ((this[Rctl] & RctlVlanFilter) == 0 || !IsTagged(frame)) return true;
        int id = BinaryPrimitives.ReadUInt16BigEndian(frame[14..]) & 0xfff;
        return (this[Vfta + (4 * (uint)(id / 32))] & (1u << (id % 32))) != 0;
    }

    private bool PassesAddress(ReadOnlySpan<byte> frame)
    {
        uint control = this[Rctl];
        ReadOnlySpan<byte> to = frame[..6];
        if (to.IndexOfAnyExcept((byte)0xff) < 0 && (control & (1u << 15)) != 0) return true;
        bool group = (to[0] & 1) != 0;
        if ((control & (group ? 1u << 4 : 1u << 3)) != 0) return true;
        for (uint i = 0; i < 16; i++)
        {
            uint low = this[Ra + (8 * i)], high = this[Ra + (8 * i) + 4];
            if ((high & (1u << 31)) != 0 && low == BinaryPrimitives.ReadUInt32LittleEndian(to) && (ushort)high == BinaryPrimitives.ReadUInt16LittleEndian(to[4..])) return true;
        }

        if (!group) return false;
        // MO = 00: bits 47:36 of the address, the last byte being the highest [SDM §13.5.1].
        int hash = (((to[5] << 8) | to[4]) >> 4) & 0xfff;
        return (this[Mta + (4 * (uint)(hash / 32))] & (1u << (hash % 32))) != 0;
    }

    /// <summary>[SDM §3.2.9]; the part of the family that QEMU 7.2 models as 82540 says of every frame that it did not look.</summary>
    private void CheckSums(ReadOnlySpan<byte> frame, ref uint status, ref uint errors)
    {
        int at = IsTagged(frame) ? 18 : 14;
        int type = BinaryPrimitives.ReadUInt16BigEndian(frame[(at - 2)..]);
        if (LikeQemu && !IsExpress)
        {
            status |= 1u << 2;
            return;
        }

        ReadOnlySpan<byte> ip = frame[at..];
        if (type != 0x0800 || (ip[0] >> 4) != 4) return;
        int header = (ip[0] & 15) * 4;
        int total = Math.Min(BinaryPrimitives.ReadUInt16BigEndian(ip[2..]), ip.Length);
        if (header < 20 || total < header) return;
        if ((this[Rxcsum] & (1u << 8)) != 0)
        {
            status |= 1u << 6;
            if (Packets.Sum(ip[..header]) != 0xffff) errors |= 1u << 6;
        }

        int protocol = ip[9];
        if ((this[Rxcsum] & (1u << 9)) == 0 || protocol is not (6 or 17)) return;
        uint pseudo = Packets.Sum(ip[12..20]) + (uint)protocol + (uint)(total - header);
        status |= 1u << 5;
        if (Packets.Sum(ip[header..total], pseudo) != 0xffff) errors |= 1u << 5;
    }

    private bool Deliver(ReadOnlySpan<byte> frame, uint status, uint errors, ushort tag)
    {
        int needed = (frame.Length + BufferBytes - 1) / BufferBytes;
        if (needed > _rxOwned) return false;
        for (int i = 0; i < needed; i++)
        {
            uint index = this[Rdh];
            if (!Dma.Read64(RxBase + (16ul * index), out ulong address)) return false;
            ReadOnlySpan<byte> part = frame[(i * BufferBytes)..Math.Min(frame.Length, (i + 1) * BufferBytes)];
            _ = Dma.Write(address, part);
            bool last = i == needed - 1;
            uint length = Has(E1000Misbehaviour.ShortMiddle) && !last ? (uint)part.Length - 1 : Has(E1000Misbehaviour.LongLength) ? 2049u : (uint)part.Length;
            uint done = 1u | (last && !Has(E1000Misbehaviour.EndlessFrame) ? 2u | status : 0);
            WriteBack(index, length, done, last ? errors : 0, last ? tag : (ushort)0);
            this[Rdh] = (index + 1) % RxCount;
            _rxOwned--;
        }

        return true;
    }

    private void WriteBack(uint index, uint length, uint status, uint errors, ushort tag)
    {
        ulong at = RxBase + (16ul * index);
        ulong result = Extended
            ? status | ((ulong)errors << 24) | ((ulong)length << 32) | ((ulong)tag << 48)
            : length | ((ulong)status << 32) | ((ulong)errors << 40) | ((ulong)tag << 48);
        if (Has(E1000Misbehaviour.RandomStatus)) result = (ulong)_random.NextInt64(long.MinValue, long.MaxValue) | (Extended ? 1ul : 1ul << 32);
        if (Extended) _ = Dma.Write64(at, 0x1234_5678_0000_0000ul | index); // the extended write-back covers the address
        _ = Dma.Write64(at + 8, result);
    }

    private void StopReceive() => _rxOwned = 0;

    private void WriteReceiveControl(uint value)
    {
        bool on = (value & RctlEnable) != 0;
        if (on && (this[Rctl] & RctlEnable) == 0)
        {
            if (this[Rdh] != this[Rdt]) Violations.Add($"receiver switched on with RDH {this[Rdh]:x} and RDT {this[Rdt]:x} [SDM §14.4]");
            if (RxCount is 0 or > 4096) Violations.Add($"receiver switched on with a ring of {RxCount} descriptors [SDM §14.4]");
            if (!Dma.Enabled) Violations.Add("receiver switched on without bus mastering");
            if (this[Mta] == Undefined || this[Ra + 8] == Undefined) Violations.Add("receiver switched on with undefined filters [SDM §14.4]");
            if (IsExpress && (this[Mrqc] != 0 || this[Rdlen1] != 0)) Violations.Add("a second receive queue is left over");
        }

        if (on && (value & RctlVlanFilter) != 0 && this[Vfta] == Undefined) Violations.Add("frames filtered by an undefined VLAN table [SDM §13.5.4]");
        if (on && ((value >> 16) & 3) != 0) Violations.Add("RCTL.BSIZE is not 2,048");
        this[Rctl] = value;
    }

    private void WriteReceiveTail(uint value)
    {
        Doorbells++;
        if ((this[Rctl] & RctlEnable) == 0)
        {
            this[Rdt] = value;
            return;
        }

        if (value >= RxCount)
        {
            Violations.Add($"RDT {value} is outside the ring of {RxCount} [SDM §13.4.29]");
            return;
        }

        uint added = (value + RxCount - this[Rdt]) % RxCount;
        if (_rxOwned + added >= RxCount) Violations.Add($"RDT {value} passes RDH {this[Rdh]} [SDM §3.2.6]");
        for (uint i = 0; i < added; i++)
        {
            ulong at = RxBase + (16ul * ((this[Rdt] + i) % RxCount));
            if (Dma.Read64(at + 8, out ulong result) && result != 0) Violations.Add($"a receive descriptor with status 0x{result:x} given to the device [SDM §3.2.3]");
        }

        _rxOwned += added;
        this[Rdt] = value;
    }
}
