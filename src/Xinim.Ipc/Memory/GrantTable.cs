namespace Xinim.Ipc.Memory;

/// <summary>The owner's list of what it granted. Not thread-safe; control path only.</summary>
public sealed class GrantTable(int slots = 16)
{
    private readonly Grant?[] _grants = new Grant?[slots is > 0 and <= Grant.MaxSlots ? slots : throw new ArgumentOutOfRangeException(nameof(slots))];
    private readonly ushort[] _generations = new ushort[slots];

    /// <summary>Grants that are valid now.</summary>
    public IEnumerable<Grant> Active => _grants.OfType<Grant>();

    /// <summary>Makes a grant.</summary>
    /// <param name="region">Region id.</param>
    /// <param name="regionSize">Bytes of the region; the granted part must lie inside.</param>
    /// <param name="offset">Bytes from the region's start.</param>
    /// <param name="length">Bytes, not 0.</param>
    /// <param name="access">What the holder may do.</param>
    public Grant Create(uint region, ulong regionSize, ulong offset, ulong length, RegionAccess access)
    {
        ArgumentOutOfRangeException.ThrowIfZero(length);
        if (offset > regionSize || length > regionSize - offset)
            throw new ArgumentOutOfRangeException(nameof(offset), offset, $"a grant of {length} bytes there leaves region {region} of {regionSize} bytes");
        int slot = Array.FindIndex(_grants, grant => grant is null);
        if (slot < 0) throw new InvalidOperationException($"all {_grants.Length} grants are in use; revoke one first");
        // 16 bits wrap after 65,535 grants of one slot; 0 is left out because zeroed memory must name no grant.
        ushort generation = ++_generations[slot] == 0 ? ++_generations[slot] : _generations[slot];
        Grant made = new(Grant.HandleOf(slot, generation), region, offset, length, access);
        _grants[slot] = made;
        return made;
    }

    /// <summary>Takes a grant back. The caller tells the holder, and frees the memory only when the holder has answered.</summary>
    /// <returns>False where the handle names no valid grant.</returns>
    public bool Revoke(uint handle)
    {
        if (!TryGet(handle, out _)) return false;
        _grants[Grant.SlotOf(handle)] = null;
        return true;
    }

    /// <summary>Looks a handle up, whoever wrote it.</summary>
    public bool TryGet(uint handle, out Grant grant)
    {
        int slot = Grant.SlotOf(handle);
        grant = slot < _grants.Length ? _grants[slot].GetValueOrDefault() : default;
        return grant.Length != 0 && grant.Handle == handle;
    }
}
