using System.Runtime.CompilerServices;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Protocols;
using Xinim.Vfio.Dma;

namespace Xinim.Drivers;

/// <summary>
/// The memory that a client granted, resolved once to IOVAs. Looking a buffer up is a table access and three compares; whatever the
/// client wrote into the ring, the result lies inside a grant with the right access, or there is none.
/// </summary>
public sealed class BufferTable
{
    private readonly Entry[] _entries;

    /// <param name="grants">What the client granted.</param>
    /// <param name="regions">What the supervisor mapped for the device.</param>
    /// <exception cref="ArgumentException">A grant names an unknown region, leaves it, or allows what the IOMMU does not.</exception>
    public BufferTable(IReadOnlyCollection<Grant> grants, IReadOnlyCollection<DmaRegion> regions)
    {
        _entries = new Entry[grants.Count == 0 ? 0 : grants.Max(grant => Grant.SlotOf(grant.Handle)) + 1];
        foreach (Grant grant in grants)
        {
            DmaRegion region = regions.FirstOrDefault(region => region.Id == grant.Region)
                ?? throw new ArgumentException($"grant 0x{grant.Handle:x} names region {grant.Region}, which is not mapped");
            if (grant.Offset > (ulong)region.Size || grant.Length > (ulong)region.Size - grant.Offset)
                throw new ArgumentException($"grant 0x{grant.Handle:x} leaves region {region.Id} of {region.Size} bytes");
            if ((grant.Access & ~region.DeviceAccess) != 0)
                throw new ArgumentException($"grant 0x{grant.Handle:x} gives {grant.Access}, region {region.Id} is mapped for {region.DeviceAccess}");
            _entries[Grant.SlotOf(grant.Handle)] = new Entry(grant.Handle, grant.Access, region.Iova + grant.Offset, grant.Length);
        }
    }

    /// <summary>Where the device finds the buffer. The caller passes a copy, not the ring's slot.</summary>
    /// <param name="buffer">As the client wrote it.</param>
    /// <param name="access">What the device will do.</param>
    /// <param name="iova">Valid where the result is true.</param>
    /// <returns>False for an unknown or revoked grant, a wrong access, no bytes, or bytes outside.</returns>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool TryLocate(in NetBuffer buffer, RegionAccess access, out Iova iova)
    {
        bool inside = TryFind(buffer.Grant, access, out BufferWindow window) && (ulong)buffer.Offset + buffer.Length <= window.Length && buffer.Length != 0;
        iova = inside ? new Iova(window.Iova.Value + buffer.Offset) : default;
        return inside;
    }

    /// <summary>A grant's memory, for a loop over buffers that mostly have the same grant.</summary>
    /// <returns>False for an unknown or revoked grant, or a wrong access; then the window is empty.</returns>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool TryFind(uint handle, RegionAccess access, out BufferWindow window)
    {
        int slot = Grant.SlotOf(handle);
        if ((uint)slot < (uint)_entries.Length)
        {
            ref readonly Entry entry = ref _entries[slot];
            if (entry.Handle == handle && entry.Length != 0 && (entry.Access & access) == access)
            {
                window = new BufferWindow(handle, entry.Iova, entry.Length);
                return true;
            }
        }

        window = default;
        return false;
    }

    private readonly record struct Entry(uint Handle, RegionAccess Access, Iova Iova, ulong Length);
}

/// <summary>One grant, looked up. The empty one has handle 0, which names no grant, and covers nothing.</summary>
/// <param name="Handle">The grant.</param>
/// <param name="Iova">Where the device sees its first byte.</param>
/// <param name="Length">Bytes.</param>
public readonly record struct BufferWindow(uint Handle, Iova Iova, ulong Length);
