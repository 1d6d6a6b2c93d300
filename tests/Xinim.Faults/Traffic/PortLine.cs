using Xinim.Net.Ports;

namespace Xinim.Faults.Traffic;

/// <summary>A cable whose other end is another NIC of the same daemon, with a driver that no fault is injected into.</summary>
internal sealed class PortLine : ILine
{
    private readonly NetworkPort _port;
    private readonly ReceivedBuffer[] _pieces = new ReceivedBuffer[1];

    public PortLine(string device, string socket)
    {
        _port = NetworkPort.Open(device, new NetworkPortOptions { TxBuffers = 256, RxBuffers = 256 }, socket);
        _port.SetFilters(new Ipc.Protocols.NetworkFilters { Flags = Ipc.Protocols.NetworkFilterFlags.Promiscuous });
    }

    public ulong Dropped => 0;

    public bool TrySend(ReadOnlySpan<byte> frame)
    {
        if (!_port.TryRent(out uint slot)) return false;
        frame.CopyTo(_port.TxMemory(slot));
        _port.Send(slot, (uint)frame.Length);
        _port.Flush();
        return true;
    }

    public int Receive(Span<byte> into, TimeSpan limit)
    {
        if (_port.Receive(_pieces) == 0)
        {
            if (limit == TimeSpan.Zero || !_port.Wait(limit) || _port.Receive(_pieces) == 0) return 0;
        }

        ReadOnlySpan<byte> data = _port.Data(_pieces[0]);
        data.CopyTo(into);
        _port.Recycle(_pieces[0].Slot);
        _port.Flush();
        return data.Length;
    }

    public void Dispose() => _port.Dispose();
}
