using System.Runtime.CompilerServices;
using Microsoft.Win32.SafeHandles;

namespace Xinim.Ipc.Memory;

/// <summary>
/// A sealed memfd mapped into this process: memory that cannot grow or shrink under a peer. Made by the supervisor and passed as a
/// file descriptor; whoever receives one checks its size and seals before the first access, so that a peer cannot cause SIGBUS.
/// </summary>
public sealed unsafe class SharedRegion : IDisposable
{
    private byte* _base;

    private SharedRegion(SafeFileHandle handle, byte* address, long size, RegionAccess access, int pageSize, string? fallbackReason)
    {
        Handle = handle;
        _base = address;
        Size = size;
        Access = access;
        PageSize = pageSize;
        FallbackReason = fallbackReason;
    }

    /// <summary>The memfd. Owned by this object.</summary>
    public SafeFileHandle Handle { get; }

    /// <summary>Bytes, a multiple of <see cref="PageSize"/>.</summary>
    public long Size { get; }

    /// <summary>What this process may do with the mapping.</summary>
    public RegionAccess Access { get; }

    /// <summary>Bytes a page: 1 GiB, 2 MiB or 4 KiB.</summary>
    public int PageSize { get; }

    /// <summary>Why ordinary pages were used where huge pages were asked for; null where the wish was met.</summary>
    public string? FallbackReason { get; }

    /// <summary>The address in this process, as the kernel wants it for VFIO_IOMMU_MAP_DMA.</summary>
    public nuint Address => (nuint)_base;

    /// <summary>Makes a zero-filled, sealed region of at least <paramref name="size"/> bytes.</summary>
    /// <param name="name">Shown in /proc/PID/maps.</param>
    /// <param name="size">Bytes; rounded up to the page size that was had.</param>
    /// <param name="pages">The largest page size to try; smaller ones follow, with the reason in <see cref="FallbackReason"/>.</param>
    /// <exception cref="LinuxException">No memory could be had at any page size.</exception>
    public static SharedRegion Create(string name, long size, PageChoice pages = PageChoice.Huge2MiB)
    {
        (SafeFileHandle handle, long rounded, int pageSize, string? reason) = MemoryFile.Create(name, size, pages);
        return MapOwned(handle, rounded, RegionAccess.ReadWrite, pageSize, reason);
    }

    /// <summary>Maps a region that a peer passed, after checking what it is. Takes ownership of the descriptor, also on failure.</summary>
    /// <param name="handle">The received memfd.</param>
    /// <param name="expectedSize">Bytes, as the peer announced.</param>
    /// <param name="access">Read for a read-only grant, otherwise ReadWrite.</param>
    /// <exception cref="LinuxException">Not a sealed memfd of exactly that size, or the access is not allowed.</exception>
    public static SharedRegion Open(SafeFileHandle handle, long expectedSize, RegionAccess access)
    {
        try
        {
            MemoryFile.Check(handle, expectedSize);
            return MapOwned(handle, expectedSize, access, MemoryFile.PageSizeOf(handle), null);
        }
        catch
        {
            handle.Dispose();
            throw;
        }
    }

    /// <summary>A bounds-checked window of the region.</summary>
    public Span<byte> Slice(long offset, int length) => new(Locate(offset, length), length);

    /// <summary>A typed reference to an element, bounds- and alignment-checked.</summary>
    public ref T At<T>(long offset)
        where T : unmanaged
    {
        byte* address = Locate(offset, sizeof(T));
        if (offset % Math.Min(sizeof(T), sizeof(ulong)) != 0)
            throw new ArgumentOutOfRangeException(nameof(offset), offset, $"not aligned for {typeof(T).Name}");
        return ref Unsafe.AsRef<T>(address);
    }

    /// <summary>Unmaps the region and closes the memfd. Every view into it must be out of use.</summary>
    public void Dispose()
    {
        if (_base == null) return;
        _ = Tmds.Linux.LibC.munmap(_base, (Tmds.Linux.size_t)(ulong)Size);
        _base = null;
        Handle.Dispose();
    }

    internal byte* Locate(long offset, long length)
    {
        ObjectDisposedException.ThrowIf(_base == null, this);
        if (offset < 0 || length < 0 || offset > Size - length)
            throw new ArgumentOutOfRangeException(nameof(offset), offset, $"{length} bytes there leave a region of {Size} bytes");
        return _base + offset;
    }

    private static SharedRegion MapOwned(SafeFileHandle handle, long size, RegionAccess access, int pageSize, string? reason)
    {
        try
        {
            return new SharedRegion(handle, MemoryFile.Map(handle, size, access), size, access, pageSize, reason);
        }
        catch
        {
            handle.Dispose();
            throw;
        }
    }
}
