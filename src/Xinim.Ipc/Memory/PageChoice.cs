namespace Xinim.Ipc.Memory;

/// <summary>The page size to try first for a region.</summary>
public enum PageChoice
{
    /// <summary>Pages of 4 KiB.</summary>
    Ordinary,

    /// <summary>Pages of 2 MiB, ordinary ones where none are free.</summary>
    Huge2MiB,

    /// <summary>Pages of 1 GiB, then of 2 MiB, then ordinary ones.</summary>
    Huge1GiB,
}
