using System.Buffers.Binary;
using Microsoft.Win32.SafeHandles;
using Xinim.Ipc;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Native;
using Xinim.Vfio.Registers;

namespace Xinim.TestKit.Remote;

/// <summary>
/// Serves a device model over QEMU's multi-process protocol, as QEMU does: any driver process can be put in front of a model of ours, a
/// hostile one too. Requests are handled one at a time on a thread of the server; the model's register accesses run there.
/// </summary>
public sealed class RemoteServer : IDisposable
{
    private const int ConfigBytes = 256;
    private const int FirstBar = 0x10;
    private const int Bars = 6;
    private const int MaxRegions = 8;
    private readonly RemoteWire _wire;
    private readonly byte[] _config = new byte[ConfigBytes];
    private readonly uint[] _barFlags = new uint[Bars];
    private readonly uint[] _barSizes;
    private readonly RegisterChannel _registers;
    private readonly Thread _thread;
    private readonly Lock _lock = new();
    private readonly List<(ulong Start, SharedRegion Memory)> _memory = [];
    private (SafeFileHandle Interrupt, SafeFileHandle Resample)? _events;
    private bool _line;

    /// <param name="socket">The model's end of a socket pair; owned by the server.</param>
    /// <param name="config">Configuration space from its first byte, up to 256; the lower bits of a BAR say its kind.</param>
    /// <param name="barSizes">Bytes of each BAR, powers of two; 0 for none.</param>
    /// <param name="registers">The model.</param>
    public RemoteServer(SafeFileHandle socket, ReadOnlySpan<byte> config, ReadOnlySpan<uint> barSizes, RegisterChannel registers)
    {
        config.CopyTo(_config);
        _barSizes = barSizes.ToArray();
        Array.Resize(ref _barSizes, Bars);
        for (int i = 0; i < Bars; i++) _barFlags[i] = BinaryPrimitives.ReadUInt32LittleEndian(_config.AsSpan(FirstBar + (4 * i))) & 0xF;
        _registers = registers;
        _wire = new RemoteWire(socket);
        _thread = new Thread(Serve) { IsBackground = true, Name = "remote model" };
        _thread.Start();
    }

    /// <summary>Runs for DEVICE_RESET, on the server's thread.</summary>
    public Action? OnReset { get; set; }

    /// <summary>Looks at or changes a reply's bytes before they are sent; an empty array sends nothing. For hostile models.</summary>
    public Func<byte[], byte[]>? TamperWithReply { get; set; }

    /// <summary>What ended the server: null while it runs and after the peer has closed the socket.</summary>
    public Exception? Failure { get; private set; }

    /// <summary>Bus master enable, as the driver or the owner set it.</summary>
    public bool IsBusMaster => (_config[4] & 4) != 0;

    /// <summary>Reads memory as the device would.</summary>
    /// <returns>False where bus mastering is off or nothing is mapped there.</returns>
    public bool ReadMemory(ulong address, Span<byte> destination)
    {
        lock (_lock)
        {
            if (Find(address, destination.Length, out SharedRegion? region, out long offset)) region!.Slice(offset, destination.Length).CopyTo(destination);
            return region is not null;
        }
    }

    /// <summary>Writes memory as the device would; false as for <see cref="ReadMemory"/>.</summary>
    public bool WriteMemory(ulong address, ReadOnlySpan<byte> source)
    {
        lock (_lock)
        {
            if (Find(address, source.Length, out SharedRegion? region, out long offset)) source.CopyTo(region!.Slice(offset, source.Length));
            return region is not null;
        }
    }

    /// <summary>The INTx line; signals when it rises, unless Interrupt Disable is set.</summary>
    public void SetLine(bool asserted)
    {
        lock (_lock)
        {
            bool rises = asserted && !_line;
            _line = asserted;
            if (rises) SignalIfUp();
        }
    }

    public void Dispose()
    {
        _wire.Shutdown();
        _thread.Join();
        _wire.Dispose();
        foreach ((_, SharedRegion memory) in _memory) memory.Dispose();
        ReplaceEvents(null);
    }

    private void Serve()
    {
        try
        {
            while (_wire.WaitForRequest(_events?.Resample, OnResample))
            {
                if (!_wire.Receive(out int command, out byte[] payload, out SafeFileHandle[] descriptors)) return;
                byte[]? reply = Handle(command, payload, descriptors);
                if (reply is not null) _wire.Send(TamperWithReply?.Invoke(reply) ?? reply);
            }
        }
        catch (Exception failure) when (failure is LinuxException or ArgumentException or IndexOutOfRangeException or InvalidDataException)
        {
            // As QEMU does on nonsense: the model ends, and its peer sees the socket closed.
            Failure = failure;
            _wire.Shutdown();
        }
    }

    private byte[]? Handle(int command, byte[] payload, SafeFileHandle[] descriptors)
    {
        ReadOnlySpan<byte> bytes = payload;
        switch (command)
        {
            case 0:
                SyncMemory(payload, descriptors);
                return null;
            case 2:
                WriteConfig((int)U32(bytes, 0), U32(bytes, 4), (int)U32(bytes, 8));
                return RemoteWire.Reply(0);
            case 3:
                return RemoteWire.Reply(ReadConfig((int)U32(bytes, 0), (int)U32(bytes, 8)));
            case 4:
                (int bar, uint offset) = Decode(U64(bytes, 0), bytes[20] != 0);
                _registers.Write(bar, offset, (int)U32(bytes, 16), U64(bytes, 8));
                return RemoteWire.Reply(0);
            case 5:
                (bar, offset) = Decode(U64(bytes, 0), bytes[20] != 0);
                return RemoteWire.Reply(_registers.Read(bar, offset, (int)U32(bytes, 16)));
            case 6:
                ReplaceEvents((descriptors[0], descriptors[1]));
                return null;
            case 7:
                OnReset?.Invoke();
                return RemoteWire.EmptyReply();
            default:
                throw new InvalidDataException($"unknown command {command}");
        }
    }

    private ulong ReadConfig(int offset, int length)
    {
        uint value = BinaryPrimitives.ReadUInt32LittleEndian(_config.AsSpan(offset));
        return length == 4 ? value : value & ((1u << (8 * length)) - 1);
    }

    private void WriteConfig(int offset, uint value, int length)
    {
        Span<byte> bytes = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, value);
        lock (_lock)
        {
            bool wasDisabled = (_config[5] & 4) != 0;
            // Writable as in most devices: command, interrupt line and the BARs; ids, class and capabilities are not.
            for (int i = 0; i < length; i++) if (offset + i is 4 or 5 or 0x3C || (offset + i >= FirstBar && offset + i < FirstBar + (4 * Bars))) _config[offset + i] = bytes[i];
            for (int i = 0; i < Bars; i++)
            {
                Span<byte> bar = _config.AsSpan(FirstBar + (4 * i), 4);
                uint mask = _barSizes[i] == 0 ? 0 : ~(_barSizes[i] - 1);
                BinaryPrimitives.WriteUInt32LittleEndian(bar, (BinaryPrimitives.ReadUInt32LittleEndian(bar) & mask) | _barFlags[i]);
            }
            if (wasDisabled) SignalIfUp();
        }
    }

    private (int Bar, uint Offset) Decode(ulong address, bool isMemory)
    {
        for (int i = 0; i < Bars; i++)
        {
            ulong start = BinaryPrimitives.ReadUInt32LittleEndian(_config.AsSpan(FirstBar + (4 * i))) & ~0xFu;
            bool enabled = (_config[4] & (isMemory ? 2 : 1)) != 0;
            if (enabled && (_barFlags[i] & 1) == (isMemory ? 0u : 1u) && address >= start && address - start < _barSizes[i]) return (i, (uint)(address - start));
        }
        throw new InvalidDataException($"no BAR decodes 0x{address:x}");
    }

    private void SyncMemory(byte[] payload, SafeFileHandle[] descriptors)
    {
        if (descriptors.Length is 0 or >= MaxRegions) throw new InvalidDataException($"{descriptors.Length} regions");
        lock (_lock)
        {
            foreach ((_, SharedRegion memory) in _memory) memory.Dispose();
            _memory.Clear();
            for (int i = 0; i < descriptors.Length; i++)
            {
                ulong start = U64(payload, 8 * i);
                _memory.Add((start, SharedRegion.Open(descriptors[i], (long)U64(payload, (8 * MaxRegions) + (8 * i)), RegionAccess.ReadWrite)));
            }
        }
    }

    private bool Find(ulong address, int length, out SharedRegion? region, out long offset)
    {
        region = null;
        offset = 0;
        foreach ((ulong start, SharedRegion memory) in _memory)
        {
            if (!IsBusMaster || address < start || address - start > (ulong)memory.Size || (ulong)length > (ulong)memory.Size - (address - start)) continue;
            region = memory;
            offset = (long)(address - start);
            return true;
        }
        return false;
    }

    private void OnResample()
    {
        lock (_lock) SignalIfUp();
    }

    private void SignalIfUp()
    {
        if (_line && (_config[5] & 4) == 0 && _events is { } events) Descriptor.Signal(events.Interrupt);
    }

    private void ReplaceEvents((SafeFileHandle Interrupt, SafeFileHandle Resample)? next)
    {
        lock (_lock)
        {
            _events?.Interrupt.Dispose();
            _events?.Resample.Dispose();
            _events = next;
        }
    }

    private static uint U32(ReadOnlySpan<byte> bytes, int offset) => BinaryPrimitives.ReadUInt32LittleEndian(bytes[offset..]);

    private static ulong U64(ReadOnlySpan<byte> bytes, int offset) => BinaryPrimitives.ReadUInt64LittleEndian(bytes[offset..]);
}
