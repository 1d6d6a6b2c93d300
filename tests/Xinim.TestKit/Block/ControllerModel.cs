using Xinim.Vfio.Registers;

namespace Xinim.TestKit.Block;

/// <summary>A controller whose ports are <see cref="DiskModel"/>s: the registers of each in a window of its own, one interrupt line for all.</summary>
public sealed class ControllerModel : RegisterChannel
{
    /// <summary>A power of two, as BARs are.</summary>
    public const uint BarBytes = 4 * DiskModel.BarBytes;

    /// <summary>The numbers of the ports: not every controller has all between.</summary>
    public static readonly uint[] Ports = [0, 1, 4];

    private readonly bool[] _levels = new bool[Ports.Length];
    private readonly Lock _lock = new();

    /// <param name="blocks">Of each disk.</param>
    public ControllerModel(uint blocks, DiskModel.ReadMemory fetch, DiskModel.WriteMemory store)
    {
        Disks = [.. Enumerable.Range(0, Ports.Length).Select(at => new DiskModel(blocks) { Fetch = fetch, Store = store, Serial = 100 + (uint)at, Line = level => SetLevel(at, level) })];
    }

    /// <summary>One a port, in their order.</summary>
    public IReadOnlyList<DiskModel> Disks { get; }

    /// <summary>Called with the level of the interrupt line.</summary>
    public Action<bool> Line { get; set; } = _ => { };

    /// <summary>As a supervisor leaves it between two drivers.</summary>
    public void Reset()
    {
        foreach (DiskModel disk in Disks) disk.Reset();
    }

    public override ulong Read(int bar, uint offset, int size) => At(offset) is { } disk ? disk.Read(bar, offset % DiskModel.BarBytes, size) : 0;

    public override void Write(int bar, uint offset, int size, ulong value) => At(offset)?.Write(bar, offset % DiskModel.BarBytes, size, value);

    private DiskModel? At(uint offset) => offset / DiskModel.BarBytes is var at && at < (uint)Disks.Count ? Disks[(int)at] : null;

    private void SetLevel(int disk, bool level)
    {
        lock (_lock)
        {
            _levels[disk] = level;
            Line(Array.Exists(_levels, one => one));
        }
    }
}
