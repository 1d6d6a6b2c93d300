using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using Xinim.Ipc;
using Xinim.Ipc.Memory;
using Xinim.Vfio.Dma;
using static Xinim.Vfio.VhostUser.VhostUserProtocol;

namespace Xinim.Vfio.VhostUser;

/// <summary>
/// The memory that a back end can reach. It outlives connections: each new one is told all of it. Region by region where the back end has
/// CONFIGURE_MEM_SLOTS, because a whole new table makes some back ends unmap what requests in flight still use; as a table of at most
/// eight otherwise. None of the messages is answered.
/// </summary>
internal sealed class VhostUserMemory(string name) : IDisposable
{
    /// <summary>Addresses are multiples of it, and at least as much lies unmapped between two regions.</summary>
    private const ulong Alignment = 2 << 20;

    private readonly IovaAllocator _addresses = new([new(16 << 20, (1UL << 46) - 1)], Alignment);
    private readonly List<Entry> _entries = [];

    private sealed record Entry(ulong Start, ulong Size, SafeFileHandle Memory)
    {
        public Region Region => new(Start, Size, Start, 0);
    }

    /// <summary>Adds a region.</summary>
    /// <param name="connection">Who is told; null where nobody is connected.</param>
    /// <exception cref="LinuxException">The back end has no room for it.</exception>
    public Iova Map(SharedRegion region, VhostUserConnection? connection)
    {
        if (connection is not null && _entries.Count >= connection.MemorySlots)
            throw new LinuxException($"{name}: the back end takes {connection.MemorySlots} regions, all are in use; let clients share a pool");
        Iova start = _addresses.Allocate((ulong)region.Size, Alignment);
        Entry entry = new(start.Value, (ulong)region.Size, region.Handle);
        _entries.Add(entry);
        // The descriptor is sent again to each new back end: it must not be closed, and its number reused, meanwhile.
        bool held = false;
        region.Handle.DangerousAddRef(ref held);
        if (connection is not null) Add(connection, entry);
        return start;
    }

    public void Unmap(Iova start, long size, VhostUserConnection? connection)
    {
        int index = _entries.FindIndex(entry => entry.Start == start.Value && entry.Size == (ulong)size);
        if (index < 0) throw new ArgumentException($"{name}: no region of {size} bytes is mapped at {start}", nameof(start));
        Entry entry = _entries[index];
        _entries.RemoveAt(index);
        _addresses.Free(start, (ulong)size);
        entry.Memory.DangerousRelease();
        if (connection is not null) Remove(connection, entry);
    }

    /// <summary>Tells a new connection of all regions.</summary>
    /// <returns>Why it cannot have them; null where it has.</returns>
    public string? SendAll(VhostUserConnection connection)
    {
        if (_entries.Count > connection.MemorySlots) return $"the back end takes {connection.MemorySlots} regions, and {_entries.Count} are mapped";
        if (connection.HasSlots) foreach (Entry entry in _entries) Add(connection, entry);
        else if (_entries.Count > 0) SendTable(connection);
        return null;
    }

    public void Dispose()
    {
        foreach (Entry entry in _entries) entry.Memory.DangerousRelease();
        _entries.Clear();
    }

    private void Add(VhostUserConnection connection, Entry entry)
    {
        if (connection.HasSlots) connection.Tell(VhostUserRequest.AddMemoryRegion, Bytes(new OneRegion(0, entry.Region)), entry.Memory);
        else SendTable(connection);
    }

    private void Remove(VhostUserConnection connection, Entry entry)
    {
        if (connection.HasSlots) connection.Tell(VhostUserRequest.RemoveMemoryRegion, Bytes(new OneRegion(0, entry.Region)));
        else SendTable(connection);
    }

    private void SendTable(VhostUserConnection connection)
    {
        // A table of nothing is not foreseen by every back end; one without a connection has nothing for certain.
        if (_entries.Count == 0) connection.End();
        else connection.Tell(
            VhostUserRequest.SetMemoryTable, [.. Bytes((ulong)_entries.Count), .. _entries.SelectMany(entry => Bytes(entry.Region))], [.. _entries.Select(entry => entry.Memory)]);
    }

    private static byte[] Bytes<T>(T value)
        where T : unmanaged
        => MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in value)).ToArray();
}
