using Xinim.Drivers.Virtio;
using Xinim.Drivers.Virtio.Queues;
using Xinim.Drivers.Virtio.Transports;
using Xinim.Vfio;
using Xinim.Vfio.Dma;

namespace Xinim.Drivers.Console.Virtio;

/// <summary>The control queues [V §5.3.6.2]: what the device says of its ports, and what it is told. [V] = Virtual I/O Device (VIRTIO) Version 1.2.</summary>
internal sealed class VirtioConsoleControl
{
    public const ushort RxNumber = 2, TxNumber = 3; // [V §5.3.2]

    /// <summary>Bytes of the longest message that is read whole: the longest name is 112 bytes.</summary>
    public const uint BufferBytes = 128;

    // As many as a device may want to send at once for all ports: QEMU's drops what finds no buffer.
    private const uint RxEntries = 128, TxEntries = 32;

    /// <summary>Messages that wait for room. A device that takes none while it causes ever more is broken.</summary>
    private const int MaxWaiting = 1024;

    private readonly string _name;
    private readonly DmaBuffer<byte> _received;
    private readonly DmaBuffer<byte> _sent;
    private readonly uint[] _receivedSlots;
    private readonly uint[] _sentSlots;
    private readonly Stack<uint> _spare = [];
    private readonly Queue<VirtioConsoleMessage> _waiting = [];
#pragma warning disable IDE0044 // structs that change: readonly would have each call work on a copy
    private SplitQueue _rx;
    private SplitQueue _tx;
#pragma warning restore IDE0044
    private VirtioDoorbell? _rxDoorbell;
    private VirtioDoorbell? _txDoorbell;

    public VirtioConsoleControl(VirtioDevice device, DmaArena arena)
    {
        _name = device.Transport.Name;
        _rx = device.MakeQueue<SplitQueue>(arena, RxNumber, RxEntries, 0);
        _tx = device.MakeQueue<SplitQueue>(arena, TxNumber, TxEntries, 0);
        _received = arena.Allocate<byte>(_rx.Size * BufferBytes, 64);
        _sent = arena.Allocate<byte>(_tx.Size * VirtioConsoleMessage.Bytes, 64);
        _receivedSlots = new uint[_rx.Size];
        _sentSlots = new uint[_tx.Size];
        for (uint i = _tx.Size; i-- > 0;) _spare.Push(i);
    }

    public void SetUp(IVirtioTransport transport, int? vector)
    {
        _rx.DisableInterrupts();
        _tx.DisableInterrupts();
        _rxDoorbell = transport.SetUpQueue(RxNumber, _rx.Memory, vector);
        _txDoorbell = transport.SetUpQueue(TxNumber, _tx.Memory, null);
    }

    /// <summary>Gives the device all buffers. Once, when it is up.</summary>
    public void Begin()
    {
        for (uint slot = 0; slot < _rx.Size; slot++) Provide(slot);
        if (_rx.Publish()) _rxDoorbell!.Ring();
    }

    /// <summary>Tells the device something; at once, or when it has room.</summary>
    /// <exception cref="DeviceFaultException">It has not had room for very long.</exception>
    public void Send(uint port, ConsoleEvent what, bool value)
    {
        if (_waiting.Count == MaxWaiting) throw new DeviceFaultException($"{_name}: {MaxWaiting} control messages wait and the device takes none [V §5.3.6.2]");
        _waiting.Enqueue(new VirtioConsoleMessage(port, what, value ? (ushort)1 : (ushort)0));
        Flush();
    }

    /// <summary>Sends what has waited.</summary>
    public void Flush()
    {
        if (_waiting.Count == 0) return;
        Span<byte> bytes = stackalloc byte[VirtioConsoleMessage.Bytes];
        while (_tx.Take(out _) is >= 0 and int number) _spare.Push(_sentSlots[number]);
        while (_spare.Count != 0 && _waiting.TryDequeue(out VirtioConsoleMessage message))
        {
            uint slot = _spare.Pop();
            message.Write(bytes);
            for (int i = 0; i < bytes.Length; i++) _sent[(slot * VirtioConsoleMessage.Bytes) + (uint)i] = bytes[i];
            int number = _tx.Add(_sent.Iova + (slot * VirtioConsoleMessage.Bytes), VirtioConsoleMessage.Bytes, deviceWrites: false);
            _sentSlots[number] = slot;
        }

        if (_tx.Publish()) _txDoorbell!.Ring();
    }

    /// <summary>Takes the next message of the device.</summary>
    /// <param name="into">Room for <see cref="BufferBytes"/>; copied before it is looked at.</param>
    /// <returns>Its bytes; 0 where there is none.</returns>
    /// <exception cref="DeviceFaultException">It is shorter than a message's header.</exception>
    public int Take(Span<byte> into)
    {
        int number = _rx.Take(out uint written);
        if (number < 0) return 0;
        if (written < VirtioConsoleMessage.Bytes) throw new DeviceFaultException($"{_name}: a control message of {written} bytes, less than its header's {VirtioConsoleMessage.Bytes} [V §5.3.6.2]");
        uint slot = _receivedSlots[number];
        for (uint i = 0; i < written; i++) into[(int)i] = _received[(slot * BufferBytes) + i];
        Provide(slot);
        if (_rx.Publish()) _rxDoorbell!.Ring();
        return (int)written;
    }

    public void Arm() => _ = _rx.EnableInterrupts();

    public void Mask() => _rx.DisableInterrupts();

    private void Provide(uint slot)
    {
        int number = _rx.Add(_received.Iova + (slot * BufferBytes), BufferBytes, deviceWrites: true);
        _receivedSlots[number] = slot;
    }
}
