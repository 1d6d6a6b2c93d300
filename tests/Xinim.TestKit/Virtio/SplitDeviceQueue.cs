using Xinim.Drivers.Virtio;
using Xinim.Drivers.Virtio.Transports;
using Xinim.TestKit.Fakes;

namespace Xinim.TestKit.Virtio;

/// <summary>The device's side of a split virtqueue [V §2.7].</summary>
public sealed class SplitDeviceQueue(FakeDma dma, VirtQueueMemory where, VirtioFeatures features) : DeviceQueue(dma, where, features)
{
    private ushort _popped;
    private ushort _used;
    private ushort _flushed;
    private uint _expected;

    private ulong AvailRing => Where.Driver.Value + 4;

    private ulong UsedEvent => AvailRing + (2ul * Where.Size);

    private ulong UsedRing => Where.Device.Value + 4;

    private ulong AvailEvent => UsedRing + (8ul * Where.Size);

    public override bool Flush()
    {
        ushort old = _flushed;
        if (_used == old) return false;
        ShowIndex(_used);
        _flushed = _used;
        ushort flags = Memory.Read16(Where.Driver.Value);
        if (!EventIndex) return flags == 0;
        // With EVENT_IDX the driver leaves flags alone, and names the entry that it waits for [V §2.7.7].
        if (flags != 0) Violation($"avail.flags is {flags} with EVENT_IDX");
        ushort wanted = Memory.Read16(UsedEvent);
        for (ushort entry = old; entry != _used; entry++)
            if (entry == wanted) return true;
        return false;
    }

    public override void WantNotifications(bool wanted)
    {
        if (EventIndex) Memory.Write16(AvailEvent, (ushort)(wanted ? _popped : _popped - 1));
        else Memory.Write16(Where.Device.Value, (ushort)(wanted ? 0 : 1));
    }

    public override void WantNotificationAfter(uint ahead) => Memory.Write16(AvailEvent, (ushort)(_popped + ahead));

    /// <summary>Writes used.idx as it likes.</summary>
    public void ShowIndex(ushort index) => Memory.Write16(Where.Device.Value + 2, index);

    /// <summary>Writes used.flags as it likes.</summary>
    public void ShowFlags(ushort flags) => Memory.Write16(Where.Device.Value, flags);

    /// <summary>Writes avail_event as it likes.</summary>
    public void ShowAvailEvent(ushort index) => Memory.Write16(AvailEvent, index);

    /// <summary>What the driver wrote into the available ring.</summary>
    public ushort Available(uint slot) => Memory.Read16(AvailRing + (2 * slot));

    protected override bool Fetch(DeviceChain chain)
    {
        ushort index = Memory.Read16(Where.Driver.Value + 2);
        ushort ready = (ushort)(index - _popped);
        if (ready > Where.Size) Violation($"avail.idx {index} is {ready} ahead in a queue of {Where.Size}");
        if (ready == 0) return false;
        chain.Id = Available(_popped % Where.Size);
        _popped++;
        if (Has(VirtioFeatures.InOrder) && chain.Id != _expected) Violation($"chain {chain.Id} where IN_ORDER wants {_expected}");
        Walk(chain, Where.Descriptors.Value, Where.Size, chain.Id, inTable: false);
        return true;
    }

    protected override void WriteUsed(uint id, uint written, int buffers, int slots)
    {
        // In the place of the batch's first buffer [V §2.7.9].
        ulong element = UsedRing + (8ul * (_used % Where.Size));
        Memory.Write32(element, id);
        Memory.Write32(element + 4, written);
        _used += (ushort)buffers;
    }

    protected override IEnumerable<(string Name, ulong At, uint Alignment)> Parts()
        => [("the descriptor table", Where.Descriptors.Value, 16), ("the available ring", Where.Driver.Value, 2), ("the used ring", Where.Device.Value, 4)];

    private void Walk(DeviceChain chain, ulong table, uint entries, uint at, bool inTable)
    {
        for (uint steps = 0; steps < entries; steps++)
        {
            if (at >= entries)
            {
                Violation($"descriptor {at} of {entries}");
                return;
            }

            ulong descriptor = table + (at * DescriptorBytes);
            ulong address = Memory.Read64(descriptor);
            uint length = Memory.Read32(descriptor + 8);
            int flags = Memory.Read16(descriptor + 12);
            ushort next = Memory.Read16(descriptor + 14);
            if ((flags & ~(FlagNext | FlagWrite | FlagIndirect)) != 0) Violation($"descriptor flags 0x{flags:x}");
            if (!inTable) Count(chain, at);
            if ((flags & FlagIndirect) != 0)
            {
                if (inTable) Violation("an indirect table in an indirect table");
                else if (TableEntries(address, length, flags) is > 0 and uint count) Walk(chain, address, count, 0, inTable: true);
                return;
            }

            AddPart(chain, address, length, (flags & FlagWrite) != 0);
            if ((flags & FlagNext) == 0)
            {
                if (inTable && steps + 1 != entries) Violation($"a chain of {steps + 1} in an indirect table of {entries}");
                return;
            }

            if (Has(VirtioFeatures.InOrder) && next != (inTable ? at + 1 : (at + 1) % Where.Size)) Violation($"next {next} behind {at} with IN_ORDER");
            at = next;
        }

        Violation($"a chain of more than {entries} descriptors");
    }

    private void Count(DeviceChain chain, uint at)
    {
        chain.Slots++;
        _expected = (at + 1) % Where.Size;
    }
}
