using Microsoft.Win32.SafeHandles;
using Xinim.Ipc;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Native;
using Xinim.Vfio.Dma;

namespace Xinim.Vfio.Remote;

/// <summary>
/// The memory that a device model can reach. The protocol replaces the whole table at every change (hw/remote/memory.c takes all memory away
/// and adds the new list); during that moment the model's DMA goes nowhere, as on an unmapped address.
/// </summary>
internal sealed class RemoteMemory : IDisposable
{
    /// <summary>Addresses are multiples of it, and at least as much lies unmapped between two regions: who runs over the end of one hits nothing.</summary>
    private const ulong Alignment = 2 << 20;

    /// <summary>Where the placeholder lies: above every region.</summary>
    private const ulong PlaceholderAddress = 1UL << 46;

    private readonly RemoteLink _link;

    /// <summary>Below 4 GiB first, for devices with 32-bit addresses; the BARs' range stays free.</summary>
    private readonly IovaAllocator _addresses = new([new(16 << 20, RemoteBarLayout.MemoryStart - 1), new(1UL << 32, PlaceholderAddress - 1)], Alignment);
    private readonly List<Entry> _entries = [];
    private readonly Lock _lock = new();

    /// <summary>A page for an otherwise empty table: QEMU ends on one without descriptors (mpqemu_msg_valid).</summary>
    private readonly SharedRegion _placeholder = SharedRegion.Create("xinim-remote-nothing", 4096, PageChoice.Ordinary);

    public RemoteMemory(RemoteLink link) => _link = link;

    private readonly record struct Entry(ulong Start, ulong Size, SafeFileHandle Memory);

    /// <summary>Adds a region: the lowest free place, so that the same order of calls gives the same addresses to every model process.</summary>
    public Iova Map(SharedRegion region)
    {
        lock (_lock)
        {
            if (_entries.Count == RemoteProtocol.MaxRegions)
                throw new LinuxException($"{_link.Name}: a device model takes {RemoteProtocol.MaxRegions} regions, all are in use; let clients share a pool, or use VFIO");
            Iova start = _addresses.Allocate((ulong)region.Size, Alignment);
            List<Entry> wanted = [.. _entries, new Entry(start.Value, (ulong)region.Size, region.Handle)];
            try
            {
                Send(wanted);
            }
            catch
            {
                _addresses.Free(start, (ulong)region.Size);
                throw;
            }

            Replace(wanted);
            // The descriptor is sent again with every later change: it must not be closed, and its number reused, meanwhile.
            bool held = false;
            region.Handle.DangerousAddRef(ref held);
            return start;
        }
    }

    public void Unmap(Iova start, long size)
    {
        lock (_lock)
        {
            int index = _entries.FindIndex(entry => entry.Start == start.Value && entry.Size == (ulong)size);
            if (index < 0) throw new ArgumentException($"{_link.Name}: no region of {size} bytes is mapped at {start}", nameof(start));
            List<Entry> wanted = [.. _entries];
            wanted.RemoveAt(index);
            Send(wanted);
            _entries[index].Memory.DangerousRelease();
            _addresses.Free(start, (ulong)size);
            Replace(wanted);
        }
    }

    public void Dispose()
    {
        lock (_lock)
        {
            foreach (Entry entry in _entries) entry.Memory.DangerousRelease();
            _entries.Clear();
            _placeholder.Dispose();
        }
    }

    private void Replace(List<Entry> wanted)
    {
        _entries.Clear();
        _entries.AddRange(wanted);
    }

    private unsafe void Send(List<Entry> entries)
    {
        RemoteProtocol.MemoryTable table = default;
        Span<int> descriptors = stackalloc int[RemoteProtocol.MaxRegions];
        int count = 0;
        foreach (Entry entry in entries)
        {
            table.Addresses[count] = entry.Start;
            table.Sizes[count] = entry.Size;
            descriptors[count++] = Descriptor.Number(entry.Memory);
        }
        if (count == 0)
        {
            table.Addresses[0] = PlaceholderAddress;
            table.Sizes[0] = (ulong)_placeholder.Size;
            descriptors[count++] = Descriptor.Number(_placeholder.Handle);
        }
        _link.SyncMemory(in table, descriptors[..count]);
    }
}
