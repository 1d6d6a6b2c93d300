using Xinim.Drivers.Virtio;
using Xinim.Drivers.Virtio.Transports;
using Xinim.TestKit.Fakes;

namespace Xinim.TestKit.Virtio;

/// <summary>The device's side of a packed virtqueue [V §2.8].</summary>
public sealed class PackedDeviceQueue(FakeDma dma, VirtQueueMemory where, VirtioFeatures features) : DeviceQueue(dma, where, features)
{
    private const int FlagAvail = 1 << 7;
    private const int FlagUsed = 1 << 15;
    private const int EventDisable = 1;
    private const int EventDescriptor = 2;

    // Where the next available descriptor is read and the next used one written, each with its wrap counter, 1 at first [V §2.8.1].
    private uint _read;
    private bool _readWrap = true;
    private uint _write;
    private bool _writeWrap = true;
    private readonly List<(uint Slot, bool Wrap)> _unflushed = [];

    /// <summary>Where the next used descriptor goes.</summary>
    public uint WriteSlot => _write;

    public override bool Flush()
    {
        bool interrupt = false;
        uint suppression = Memory.Read32(Where.Driver.Value);
        int flags = (int)(suppression >> 16);
        if ((flags & ~3) != 0 || flags == 3) Violation($"desc_event_flags is 0x{flags:x}");
        if (flags == EventDescriptor && !EventIndex) Violation("a descriptor event without EVENT_IDX");
        bool wrap = (suppression & 0x8000) != 0;
        uint slot = suppression & 0x7fff;
        foreach ((uint used, bool usedWrap) in _unflushed)
            interrupt |= flags == 0 || (flags == EventDescriptor && used == slot && usedWrap == wrap);
        _unflushed.Clear();
        return interrupt;
    }

    public override void WantNotifications(bool wanted)
    {
        if (wanted && EventIndex) ShowEvent(_read, _readWrap, EventDescriptor);
        else ShowEvent(0, false, wanted ? 0 : EventDisable);
    }

    public override void WantNotificationAfter(uint ahead)
    {
        uint slot = _read + ahead;
        ShowEvent(slot % Where.Size, _readWrap ^ (slot / Where.Size % 2 != 0), EventDescriptor);
    }

    /// <summary>Writes the device's event suppression as it likes.</summary>
    public void ShowEvent(uint slot, bool wrap, int flags) => Memory.Write32(Where.Device.Value, slot | (wrap ? 0x8000u : 0) | ((uint)flags << 16));

    /// <summary>The flags of a descriptor, as they are.</summary>
    public ushort Flags(uint slot) => Memory.Read16(Descriptor(slot) + 14);

    /// <summary>Writes the flags of a descriptor as it likes.</summary>
    public void ShowFlags(uint slot, ushort flags) => Memory.Write16(Descriptor(slot) + 14, flags);

    protected override bool Fetch(DeviceChain chain)
    {
        if (!IsAvailable(_read, _readWrap)) return false;
        while (true)
        {
            ulong descriptor = Descriptor(_read);
            ulong address = Memory.Read64(descriptor);
            uint length = Memory.Read32(descriptor + 8);
            int flags = Flags(_read);
            chain.Id = Memory.Read16(descriptor + 12); // of the last one in the list [V §2.8.6]
            if ((flags & ~(FlagNext | FlagWrite | FlagIndirect | FlagAvail | FlagUsed)) != 0) Violation($"descriptor flags 0x{flags:x}");
            if (!IsAvailable(_read, _readWrap)) Violation($"slot {_read} of a list is not available");
            chain.Slots++;
            Step(ref _read, ref _readWrap, 1);
            if ((flags & FlagIndirect) != 0) FetchTable(chain, address, length, flags);
            else AddPart(chain, address, length, (flags & FlagWrite) != 0);
            if ((flags & FlagNext) == 0) break;
            if (chain.Slots > Where.Size)
            {
                Violation($"a list of more than {Where.Size} descriptors");
                break;
            }
        }

        if (chain.Id >= Where.Size) Violation($"buffer id {chain.Id} in a queue of {Where.Size}");
        return true;
    }

    protected override void WriteUsed(uint id, uint written, int buffers, int slots)
    {
        ulong descriptor = Descriptor(_write);
        Memory.Write32(descriptor + 8, written);
        Memory.Write16(descriptor + 12, (ushort)id);
        Memory.Write16(descriptor + 14, (ushort)((_writeWrap ? FlagAvail | FlagUsed : 0) | (written != 0 ? FlagWrite : 0)));
        for (int i = 0; i < slots; i++)
        {
            // An event in the middle of a list or a batch counts when the whole is used.
            _unflushed.Add((_write, _writeWrap));
            Step(ref _write, ref _writeWrap, 1);
        }
    }

    protected override IEnumerable<(string Name, ulong At, uint Alignment)> Parts()
        => [("the ring", Where.Descriptors.Value, 16), ("the driver's events", Where.Driver.Value, 4), ("the device's events", Where.Device.Value, 4)];

    private ulong Descriptor(uint slot) => Where.Descriptors.Value + (slot * DescriptorBytes);

    private bool IsAvailable(uint slot, bool wrap)
    {
        int flags = Flags(slot);
        return (flags & FlagAvail) != 0 == wrap && (flags & FlagUsed) != 0 != wrap;
    }

    private void FetchTable(DeviceChain chain, ulong at, uint length, int flags)
    {
        uint entries = TableEntries(at, length, flags);
        for (uint i = 0; i < entries; i++)
        {
            ulong entry = at + (i * DescriptorBytes);
            int entryFlags = Memory.Read16(entry + 14);
            if ((entryFlags & ~FlagWrite) != 0) Violation($"flags 0x{entryFlags:x} in an indirect table"); // [V §2.8.19]
            AddPart(chain, Memory.Read64(entry), Memory.Read32(entry + 8), (entryFlags & FlagWrite) != 0);
        }
    }

    private void Step(ref uint slot, ref bool wrap, uint by)
    {
        slot += by;
        if (slot < Where.Size) return;
        slot -= Where.Size;
        wrap = !wrap;
    }
}
