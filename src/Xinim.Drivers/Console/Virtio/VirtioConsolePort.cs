using Xinim.Drivers.Virtio.Transports;
using Xinim.Ipc.Protocols;
using Xinim.Vfio.Dma;

namespace Xinim.Drivers.Console.Virtio;

/// <summary>A port: its queues, which there are whether the device has the port or not, and what the device says of it.</summary>
internal sealed class VirtioConsolePort(uint id, DmaBuffer<PortNotes> notes, VirtioConsoleRx rx, VirtioConsoleTx tx)
{
    private ConsolePortInfo _info = new() { Id = id };

    /// <summary>As last reported: differs where something has changed.</summary>
    private ConsolePortInfo _reported = new() { Id = id };

    public uint Id => id;

    public VirtioConsoleRx Rx => rx;

    public VirtioConsoleTx Tx => tx;

    public ref ConsolePortInfo Info => ref _info;

    /// <summary>It has a client.</summary>
    public bool IsOpen { get; private set; }

    public bool Present => _info.Has(ConsolePortFlags.Present);

    public ulong Session => notes[id].Session;

    /// <summary>Queues of a port [V §5.3.2]: those of port 0 stand before the control queues, the others behind.</summary>
    public static ushort RxNumber(uint port) => (ushort)(port == 0 ? 0 : (2 * port) + 2);

    /// <inheritdoc cref="RxNumber"/>
    public static ushort TxNumber(uint port) => (ushort)(RxNumber(port) + 1);

    public void SetUp(IVirtioTransport transport, int? vector)
    {
        rx.SetUp(transport, RxNumber(id), vector);
        tx.SetUp(transport, TxNumber(id), vector);
    }

    /// <param name="dropStale">What has come while nobody had the port open is nothing.</param>
    public void Open(ulong session, bool dropStale)
    {
        ref PortNotes note = ref notes[id];
        if (note.Session != session)
        {
            rx.Begin(dropStale || note.Session != 0);
            note.Session = 0;
            tx.Begin();
            Volatile.Write(ref note.Session, session);
        }

        rx.Rewind();
        tx.Rewind();
        IsOpen = true;
    }

    public void Close()
    {
        if (!IsOpen) return;
        IsOpen = false;
        rx.Drop();
        tx.Rewind();
        notes[id].Session = 0;
    }

    /// <summary>The device has the port.</summary>
    public void Add(ConsolePortFlags flags) => _info = new ConsolePortInfo { Id = id, Incarnation = _info.Incarnation + 1, Flags = flags | ConsolePortFlags.Present };

    /// <summary>The device has it no longer.</summary>
    public void Remove()
    {
        Close();
        _info = new ConsolePortInfo { Id = id, Incarnation = _info.Incarnation };
    }

    public bool TryTakeChange(out ConsolePortInfo info)
    {
        info = _info;
        if (_info.IsSameAs(_reported)) return false;
        _reported = _info;
        return true;
    }

    public void Arm()
    {
        if (IsOpen) rx.Arm();
        if (tx.Busy) tx.Arm();
    }

    public void Mask()
    {
        rx.Mask();
        tx.Mask();
    }
}
