using Xinim.Vfio.Registers;

namespace Xinim.Faults.Model;

/// <summary>Registers that lie: between a driver and a device model.</summary>
internal sealed class TamperedRegisters(RegisterChannel inner) : RegisterChannel
{
    private Func<uint, uint, uint>? _onRead;
    private Func<uint, uint, uint?>? _onWrite;
    private int _reads;
    private int _writes;
    private int _skipReads;
    private int _skipWrites;

    /// <summary>The model itself broke, of what it was made to believe: from then on it answers like a device that was pulled.</summary>
    public bool Broken { get; private set; }

    /// <summary>Changes the next reads.</summary>
    /// <param name="change">From offset and value to the value that the driver sees.</param>
    /// <param name="skip">Reads that are still left alone.</param>
    public void TamperReads(int count, Func<uint, uint, uint> change, int skip = 0) => (_reads, _onRead, _skipReads) = (count, change, skip);

    /// <summary>Changes the next writes; null loses them.</summary>
    public void TamperWrites(int count, Func<uint, uint, uint?> change, int skip = 0) => (_writes, _onWrite, _skipWrites) = (count, change, skip);

    /// <summary>Tells the truth again.</summary>
    public void Relent() => _reads = _writes = 0;

    public override ulong Read(int bar, uint offset, int size)
    {
        if (Broken) return uint.MaxValue;
        ulong value = uint.MaxValue;
        Guard(() => value = inner.Read(bar, offset, size));
        return IsDue(ref _skipReads, ref _reads) ? _onRead!(offset, (uint)value) : value;
    }

    public override void Write(int bar, uint offset, int size, ulong value)
    {
        uint? changed = IsDue(ref _skipWrites, ref _writes) ? _onWrite!(offset, (uint)value) : (uint)value;
        if (!Broken && changed is { } word) Guard(() => inner.Write(bar, offset, size, word));
    }

    private static bool IsDue(ref int skip, ref int left)
    {
        if (skip > 0)
        {
            skip--;
            return false;
        }

        return left > 0 && left-- > 0;
    }

    /// <summary>Whatever the model does wrong is no fault of its driver, on whose stack it runs.</summary>
    public void Guard(Action access)
    {
        try
        {
            access();
        }
        catch (Exception exception) when (exception is ArithmeticException or ArgumentException or IndexOutOfRangeException)
        {
            Broken = true;
        }
    }
}
