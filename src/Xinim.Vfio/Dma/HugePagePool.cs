namespace Xinim.Vfio.Dma;

/// <summary>A pool of huge pages (Documentation/admin-guide/mm/hugetlbpage.rst).</summary>
/// <param name="PageSize">Bytes: 2 MiB or 1 GiB.</param>
/// <param name="Total">Pages in the pool.</param>
/// <param name="Free">Pages that nobody has.</param>
/// <param name="Node">NUMA node, or null for the whole machine.</param>
public sealed record HugePagePool(long PageSize, long Total, long Free, int? Node = null);

/// <summary>What came of a reservation.</summary>
/// <param name="Wanted">Pages that the pool was to have.</param>
/// <param name="Pool">The pool as it is now.</param>
/// <param name="Reason">Why there are fewer, and what helps; null where there are enough.</param>
public sealed record HugePageReservation(long Wanted, HugePagePool Pool, string? Reason);
