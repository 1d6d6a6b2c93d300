using Xinim.Drivers.Virtio;
using Xinim.Drivers.Virtio.Transports;
using Xinim.TestKit.Fakes;

namespace Xinim.TestKit.Virtio;

/// <summary>
/// The device's side of a virtqueue, written from [V §2.7, §2.8] and not from the driver. It obeys, writes down what the driver does wrong, and
/// lies where it is told to. [V] = Virtual I/O Device (VIRTIO) Version 1.2.
/// </summary>
public abstract class DeviceQueue
{
    protected const int DescriptorBytes = 16;
    protected const int FlagNext = 1;
    protected const int FlagWrite = 2;
    protected const int FlagIndirect = 4;

    private readonly Stack<DeviceChain> _spare = new();

    protected DeviceQueue(FakeDma dma, VirtQueueMemory where, VirtioFeatures features)
    {
        (Memory, Where, Features) = (new DeviceMemory(dma), where, features);
        foreach ((string name, ulong at, uint alignment) in Parts())
            if (at % alignment != 0) Violations.Add($"{name} at 0x{at:x} is not aligned to {alignment}");
    }

    /// <summary>What the driver did that [V] forbids.</summary>
    public List<string> Violations { get; } = [];

    public VirtQueueMemory Where { get; }

    public VirtioFeatures Features { get; }

    /// <summary>Buffers popped and not used yet.</summary>
    public int Held { get; private set; }

    protected DeviceMemory Memory { get; }

    protected bool EventIndex => Has(VirtioFeatures.EventIndex);

    /// <summary>The layout that was negotiated.</summary>
    public static DeviceQueue Of(FakeDma dma, VirtQueueMemory where, VirtioFeatures features)
        => (features & VirtioFeatures.RingPacked) != 0 ? new PackedDeviceQueue(dma, where, features) : new SplitDeviceQueue(dma, where, features);

    /// <summary>The next buffer that the driver made available; null where there is none.</summary>
    public DeviceChain? Pop()
    {
        DeviceChain chain = _spare.Count == 0 ? new DeviceChain() : _spare.Pop();
        chain.Clear();
        if (Fetch(chain))
        {
            Held++;
            return chain;
        }

        _spare.Push(chain);
        return null;
    }

    /// <summary>Uses one buffer; the driver sees it after <see cref="Flush"/> at the latest.</summary>
    public void Use(DeviceChain chain, uint written) => UseBatch([chain], written);

    /// <summary>With IN_ORDER: one entry for several buffers, all in the order of their arrival [V §2.7.9, §2.8.8].</summary>
    /// <param name="written">To the last one.</param>
    public void UseBatch(ReadOnlySpan<DeviceChain> chains, uint written)
    {
        int slots = 0;
        foreach (DeviceChain chain in chains) slots += chain.Slots;
        WriteUsed(chains[^1].Id, written, chains.Length, slots);
        foreach (DeviceChain chain in chains) _spare.Push(chain);
        Held -= chains.Length;
    }

    /// <summary>Shows the driver what was used since the last time.</summary>
    /// <returns>True where the driver wants to be interrupted.</returns>
    public abstract bool Flush();

    /// <summary>Asks for a notification of the next buffer, or for none.</summary>
    public abstract void WantNotifications(bool wanted);

    /// <summary>With EVENT_IDX: asks for a notification of the buffer that is <paramref name="ahead"/> entries behind the next one.</summary>
    public abstract void WantNotificationAfter(uint ahead);

    /// <summary>A used entry as no working device writes it.</summary>
    /// <param name="buffers">By which the used index moves; a packed ring has none.</param>
    public void Forge(uint id, uint written, int buffers = 1)
    {
        WriteUsed(id, written, buffers, 1);
        _ = Flush();
    }

    protected abstract bool Fetch(DeviceChain chain);

    /// <param name="slots">Descriptors of the ring that the entry stands for.</param>
    protected abstract void WriteUsed(uint id, uint written, int buffers, int slots);

    protected abstract IEnumerable<(string Name, ulong At, uint Alignment)> Parts();

    protected bool Has(VirtioFeatures feature) => (Features & feature) != 0;

    protected void Violation(string what) => Violations.Add(what);

    /// <summary>Adds a part, and checks what is the same in both layouts.</summary>
    protected void AddPart(DeviceChain chain, ulong at, uint length, bool writable)
    {
        if (length == 0) Violation($"buffer {chain.Id} has a part of no bytes");
        if (!chain.Add(at, length, writable)) Violation($"buffer {chain.Id} has a readable part behind a writable one");
    }

    /// <summary>Entries of an indirect table; 0 where there is something wrong with it.</summary>
    protected uint TableEntries(ulong at, uint length, int flags)
    {
        if (!Has(VirtioFeatures.IndirectDescriptors)) Violation("an indirect table, which was not negotiated");
        else if ((flags & FlagNext) != 0) Violation("INDIRECT and NEXT in one descriptor");
        else if (length == 0 || length % DescriptorBytes != 0) Violation($"an indirect table of {length} bytes");
        else if (length / DescriptorBytes > Where.Size) Violation($"an indirect table of {length / DescriptorBytes} entries in a queue of {Where.Size}");
        else if (at == 0) Violation("an indirect table at 0");
        else return length / DescriptorBytes;
        return 0;
    }
}
