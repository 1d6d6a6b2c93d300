namespace Xinim.Net.Traffic;

/// <summary>
/// Which numbers of a sequence have come: counts what is missing and what came twice, with a memory of the last 65,536. Loss before the
/// first number that comes is not seen.
/// </summary>
public sealed class SequenceTracker
{
    private const ulong Window = 1 << 16;
    private readonly ulong[] _seen = new ulong[Window / 64];
    private ulong _first;
    private ulong _next;

    /// <summary>Different numbers.</summary>
    public ulong Unique { get; private set; }

    public ulong Duplicates { get; private set; }

    /// <summary>Numbers that came after a higher one.</summary>
    public ulong Reordered { get; private set; }

    /// <summary>Numbers so old that they could be duplicates; counted as nothing else.</summary>
    public ulong TooOld { get; private set; }

    /// <summary>Numbers between the lowest and the highest that have not come.</summary>
    public ulong Lost => _next - _first - Unique;

    public void Add(ulong number)
    {
        if (number == ulong.MaxValue)
        {
            // No sender gets there, and there is no number behind it.
            TooOld++;
            return;
        }

        if (_next == 0) _first = _next = number;
        if (number >= _next)
        {
            Advance(number);
        }
        else if (_next - number > Window)
        {
            TooOld++;
            return;
        }
        else if (IsSeen(number))
        {
            Duplicates++;
            return;
        }
        else
        {
            Reordered++;
            _first = Math.Min(_first, number);
        }

        _seen[number % Window / 64] |= 1UL << (int)(number % 64);
        Unique++;
    }

    private void Advance(ulong number)
    {
        if (number - _next >= Window) Array.Clear(_seen);
        else for (ulong i = _next; i <= number; i++) _seen[i % Window / 64] &= ~(1UL << (int)(i % 64));
        _next = number + 1;
    }

    private bool IsSeen(ulong number) => (_seen[number % Window / 64] & (1UL << (int)(number % 64))) != 0;
}
