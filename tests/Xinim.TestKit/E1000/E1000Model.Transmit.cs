using System.Buffers.Binary;

namespace Xinim.TestKit.E1000;

// The transmit unit: legacy, context and data descriptors, checksums, segmentation, tags [SDM §3.3, §3.4, §3.5].
public sealed partial class E1000Model
{
    private const uint CommandEop = 1, CommandFcs = 2, CommandTse = 4, CommandRs = 8, CommandExtension = 32, CommandVlan = 64;

    private readonly (ulong, ulong)[] _txSeen = new (ulong, ulong)[65536];
    private readonly byte[] _packet = new byte[1 << 18];
    private readonly byte[] _segment = new byte[1 << 16];
    private int _packetBytes;
    private bool _packetOpen;
    private uint _packetOptions;
    private ulong _packetFirst;
    private uint _txOwned;
    private TransmitContext _checksumContext;
    private TransmitContext _segmentContext;

    /// <summary>Frames on the wire, without FCS, padded; filled while <see cref="KeepSent"/>.</summary>
    public List<byte[]> Sent { get; } = [];

    /// <summary>Whether <see cref="Sent"/> is filled.</summary>
    public bool KeepSent { get; set; } = true;

    /// <summary>False to hold descriptors until <see cref="ProcessTransmit"/>.</summary>
    public bool TransmitAtOnce { get; set; } = true;

    /// <summary>Context descriptors that were seen.</summary>
    public int Contexts { get; private set; }

    /// <summary>Descriptors whose status was asked for.</summary>
    public int StatusReports { get; private set; }

    /// <summary>Frames that left.</summary>
    public ulong FramesSent { get; private set; }

    /// <summary>Descriptors that wait.</summary>
    public uint TransmitPending => _txOwned;

    /// <summary>LEN has bits 7 to 19 [SDM §13.4.38]: whatever was written, a ring has at most 65,536 descriptors.</summary>
    private uint TxCount => (this[Tdlen] & 0xf_ff80) / 16;

    private ulong TxBase => ((ulong)this[Tdbah] << 32) | this[Tdbal];

    /// <summary>Works off descriptors.</summary>
    public void ProcessTransmit(uint limit = uint.MaxValue)
    {
        if ((this[Tctl] & TctlEnable) == 0) return;
        uint causes = 0;
        // A tail outside the ring is never reached: once round is enough.
        limit = Math.Min(limit, TxCount);
        for (uint n = 0; n < limit && this[Tdh] != this[Tdt]; n++)
        {
            uint index = this[Tdh];
            ulong at = TxBase + (16ul * index);
            if (!Dma.Read64(at, out ulong address) || !Dma.Read64(at + 8, out ulong control)) return;
            if (_txSeen[index] != (address, control)) Violations.Add($"transmit descriptor {index} was changed while the device owned it [SDM §3.4]");
            ProcessDescriptor(address, control);
            this[Tdh] = (index + 1) % TxCount;
            _txOwned--;
            causes |= Report(at, control);
        }

        if (this[Tdh] == this[Tdt]) causes |= CauseTxqe;
        if (Has(E1000Misbehaviour.DoneEverywhere)) MarkEverythingDone();
        Cause(causes);
    }

    private void StopTransmit()
    {
        _txOwned = 0;
        _packetBytes = 0;
        _packetOpen = false;
        _checksumContext = _segmentContext = default;
    }

    private void WriteTransmitControl(uint value)
    {
        bool on = (value & TctlEnable) != 0;
        if (on && (this[Tctl] & TctlEnable) == 0)
        {
            if (this[Tdh] != this[Tdt]) Violations.Add($"transmitter switched on with TDH {this[Tdh]:x} and TDT {this[Tdt]:x} [SDM §14.5]");
            if (TxCount is 0 or > 4096) Violations.Add($"transmitter switched on with a ring of {TxCount} descriptors [SDM §14.5]");
            if (this[Tipg] == Undefined) Violations.Add("transmitter switched on without TIPG [SDM §14.5]");
            if ((value & (1u << 3)) == 0) Violations.Add("TCTL.PSP is not set [SDM §14.5]");
            if (!Dma.Enabled) Violations.Add("transmitter switched on without bus mastering");
            if (IsExpress && (this[Tarc0] & (1u << 10)) == 0) Violations.Add("queue 0 of the 82574 is off in TARC0");
        }

        this[Tctl] = value;
    }

    private void WriteTransmitTail(uint value)
    {
        Doorbells++;
        if ((this[Tctl] & TctlEnable) == 0)
        {
            this[Tdt] = value;
            return;
        }

        if (value >= TxCount)
        {
            Violations.Add($"TDT {value} is outside the ring of {TxCount} [SDM §13.4.40]");
            return;
        }

        uint added = (value + TxCount - this[Tdt]) % TxCount;
        if (_txOwned + added >= TxCount) Violations.Add($"TDT {value} passes TDH {this[Tdh]} [SDM §3.4]");
        for (uint i = 0; i < added; i++)
        {
            uint index = (this[Tdt] + i) % TxCount;
            _ = Dma.Read64(TxBase + (16ul * index), out ulong address);
            _ = Dma.Read64(TxBase + (16ul * index) + 8, out ulong control);
            _txSeen[index] = (address, control);
        }

        _txOwned += added;
        this[Tdt] = value;
        if (TransmitAtOnce) ProcessTransmit();
    }

    private uint Report(ulong at, ulong control)
    {
        uint command = (uint)(control >> 24) & 0xff;
        if ((command & CommandRs) == 0) return 0;
        StatusReports++;
        bool context = (command & CommandExtension) != 0 && ((control >> 20) & 0xf) == 0;
        if (!context && (command & CommandEop) == 0) Violations.Add("RS inside a frame: the driver would give a part of it back");
        if (Has(E1000Misbehaviour.NoTransmitStatus)) return 0;
        _ = Dma.Write64(at + 8, control | (1ul << 32));
        return UsesVectors ? CauseTxq0 : CauseTxdw;
    }

    private void MarkEverythingDone()
    {
        for (uint i = 0; i < TxCount; i++)
        {
            ulong at = TxBase + (16ul * i) + 8;
            if (Dma.Read64(at, out ulong control)) _ = Dma.Write64(at, control | (1ul << 32));
        }
    }

    private void ProcessDescriptor(ulong address, ulong control)
    {
        uint command = (uint)(control >> 24) & 0xff;
        uint type = (uint)(control >> 20) & 0xf;
        bool extended = (command & CommandExtension) != 0;
        if (extended && type == 0)
        {
            TakeContext(address, control);
            return;
        }

        if (extended && type != 1) Violations.Add($"descriptor type {type} [SDM §3.3.7]");
        int length = (int)(control & (extended ? 0xf_ffffu : 0xffff));
        if (length is 0 or > 16288) Violations.Add($"a descriptor of {length} bytes [SDM §3.3.3]");
        if (!_packetOpen)
        {
            _packetOpen = true;
            _packetFirst = control;
            _packetOptions = extended ? (uint)(control >> 40) & 3 : 0;
        }

        if (_packetBytes + length > _packet.Length || !Dma.Read(address, _packet.AsSpan(_packetBytes, length)))
        {
            StopTransmit();
            return;
        }

        _packetBytes += length;
        if ((command & CommandEop) != 0) EndPacket(control, command, extended);
    }

    private void TakeContext(ulong offsets, ulong control)
    {
        Contexts++;
        if (_packetOpen) Violations.Add("a context descriptor inside a frame [SDM §3.3.6]");
        TransmitContext context = TransmitContext.Parse(offsets, control);
        if (context.Segment) _segmentContext = context;
        // QEMU's 82574 keeps one context, the manual one of each kind: a driver must do right by both.
        if (!context.Segment || LikeQemu) _checksumContext = context;
        if (LikeQemu) _segmentContext = context;
    }

    private void EndPacket(ulong control, uint command, bool extended)
    {
        Span<byte> packet = _packet.AsSpan(0, _packetBytes);
        bool segment = extended && ((uint)(_packetFirst >> 24) & CommandTse) != 0;
        if ((command & CommandFcs) == 0) Violations.Add("the last descriptor of a frame without IFCS [SDM §3.3.3.1]");
        ulong tagged = segment ? _packetFirst : control; // where VLE and the tag count [SDM §3.3.7.1]
        ushort? tag = ((uint)(tagged >> 24) & CommandVlan) != 0 ? (ushort)(tagged >> 48) : null;
        if (tag is not null && (this[Ctrl] & CtrlVme) == 0)
        {
            Violations.Add("VLE without CTRL.VME [SDM §3.3.3.1]");
            tag = null;
        }

        if (segment)
        {
            SendSegments(packet, tag);
        }
        else
        {
            if ((_packetOptions & 2) != 0) Checksums.Insert(packet, _checksumContext.TransportStart, _checksumContext.TransportField, _checksumContext.TransportEnd);
            if ((_packetOptions & 1) != 0) Checksums.Insert(packet, _checksumContext.IpStart, _checksumContext.IpField, _checksumContext.IpEnd);
            SendFrame(packet, tag);
        }

        _packetBytes = 0;
        _packetOpen = false;
    }

    /// <summary>[SDM §3.5.3 to §3.5.9]</summary>
    private void SendSegments(ReadOnlySpan<byte> packet, ushort? tag)
    {
        TransmitContext context = _segmentContext;
        if (!context.Segment) Violations.Add("TSE without a segmentation context [SDM §3.3.6]");
        int payload = packet.Length - context.HeaderLength;
        if (payload != context.PayloadLength) Violations.Add($"PAYLEN {context.PayloadLength}, the descriptors hold {payload} [SDM §3.3.6]");
        int sent = 0;
        for (int n = 0; sent < payload && context.SegmentSize != 0; n++)
        {
            int part = Math.Min(context.SegmentSize, payload - sent);
            Span<byte> frame = _segment.AsSpan(0, context.HeaderLength + part);
            packet[..context.HeaderLength].CopyTo(frame);
            packet.Slice(context.HeaderLength + sent, part).CopyTo(frame[context.HeaderLength..]);
            FixHeaders(frame, context, n, sent, last: sent + part == payload);
            if ((_packetOptions & 2) != 0) Checksums.Insert(frame, context.TransportStart, context.TransportField, context.TransportEnd);
            if ((_packetOptions & 1) != 0) Checksums.Insert(frame, context.IpStart, context.IpField, context.IpEnd);
            SendFrame(frame, tag);
            sent += part;
        }
    }

    private static void FixHeaders(Span<byte> frame, in TransmitContext context, int n, int sent, bool last)
    {
        Span<byte> ip = frame[context.IpStart..];
        if (context.Ipv4)
        {
            BinaryPrimitives.WriteUInt16BigEndian(ip[2..], (ushort)ip.Length);
            BinaryPrimitives.WriteUInt16BigEndian(ip[4..], (ushort)(BinaryPrimitives.ReadUInt16BigEndian(ip[4..]) + n));
        }
        else
        {
            BinaryPrimitives.WriteUInt16BigEndian(ip[4..], (ushort)(ip.Length - 40));
        }

        Span<byte> tcp = frame[context.TransportStart..];
        BinaryPrimitives.WriteUInt32BigEndian(tcp[4..], BinaryPrimitives.ReadUInt32BigEndian(tcp[4..]) + (uint)sent);
        if (!last) tcp[13] &= 0xf6; // FIN and PSH belong to the last segment
        Span<byte> field = frame[context.TransportField..];
        uint sum = BinaryPrimitives.ReadUInt16BigEndian(field) + (uint)tcp.Length;
        BinaryPrimitives.WriteUInt16BigEndian(field, (ushort)((sum & 0xffff) + (sum >> 16)));
    }

    private void SendFrame(ReadOnlySpan<byte> frame, ushort? tag)
    {
        int bytes = Math.Max(60, frame.Length + (tag is null ? 0 : 4));
        FramesSent++;
        Count(0x4080);
        CountOctets(0x4090, bytes + 4);
        if (!KeepSent) return;
        byte[] wire = new byte[bytes];
        if (tag is { } value)
        {
            frame[..12].CopyTo(wire);
            BinaryPrimitives.WriteUInt16BigEndian(wire.AsSpan(12), (ushort)this[Vet]);
            BinaryPrimitives.WriteUInt16BigEndian(wire.AsSpan(14), value);
            frame[12..].CopyTo(wire.AsSpan(16));
        }
        else
        {
            frame.CopyTo(wire);
        }

        Sent.Add(wire);
    }

    private readonly record struct TransmitContext(
        int IpStart, int IpField, int IpEnd, int TransportStart, int TransportField, int TransportEnd, bool Segment, bool Ipv4, int PayloadLength, int HeaderLength, int SegmentSize)
    {
        public static TransmitContext Parse(ulong offsets, ulong control)
        {
            uint command = (uint)(control >> 24) & 0xff;
            return new TransmitContext(
                (byte)offsets, (byte)(offsets >> 8), (ushort)(offsets >> 16), (byte)(offsets >> 32), (byte)(offsets >> 40), (ushort)(offsets >> 48),
                (command & CommandTse) != 0, (command & 2) != 0, (int)(control & 0xf_ffff), (byte)(control >> 40), (ushort)(control >> 48));
        }
    }
}
