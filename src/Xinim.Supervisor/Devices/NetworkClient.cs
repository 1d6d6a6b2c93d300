using Microsoft.Extensions.Logging;
using Xinim.Ipc.Protocols;

namespace Xinim.Supervisor.Devices;

/// <summary>
/// The client of a NIC. Its transmit pool is mapped for the device to read only; its filters are what a new driver starts
/// with.
/// </summary>
internal sealed class NetworkClient(ManagedDevice device, ILogger log) : ClientSlot(device, log, 0, null)
{
    private NetworkFilters? _filters;

    /// <summary>The driver is being started with filters that are forgotten meanwhile.</summary>
    private bool _stale;
    private FilterWish? _wanted;

    /// <summary>The NIC as last told.</summary>
    public NetworkDeviceInfo Info { get; set; }

    /// <summary>Sets all filters, now and for every later driver. A driver that dies over it leaves it to the next one.</summary>
    public void SetFilters(in NetworkFilters filters, Action<string?> answer)
    {
        if (_wanted is not null)
        {
            answer("filters are being set already; wait for the answer");
            return;
        }

        _wanted = new FilterWish(filters, answer);
        AskFilters();
    }

    /// <inheritdoc cref="DeviceSlot.OnStarting"/>
    public NetworkFilters OnStarting()
    {
        _stale = false;
        return _filters ?? default;
    }

    protected override byte[] OpenedMessage(ClientMemory memory) => Payload.Of(new OpenedNetworkMessage
    {
        Rings = memory.Shape,
        RingsBytes = memory.RingsBytes,
        TxPoolBytes = (ulong)memory.Pools[0].Region.Size,
        RxPoolBytes = (ulong)memory.Pools[1].Region.Size,
        TxGrant = memory.Pools[0].Grant.Handle,
        RxGrant = memory.Pools[1].Grant.Handle,
        Info = Info,
    });

    protected override void RestoreWishes()
    {
        if (_stale) AskForNone();
        AskFilters();
    }

    protected override void ForgetWishes()
    {
        _wanted = null;
        _stale |= !AskForNone() && _filters is not null;
        _filters = null;
    }

    private bool AskForNone()
    {
        NetworkFilters none = default;
        return TryAsk(ControlMessage.SetFilters, none, _ => { });
    }

    private void AskFilters()
    {
        // Where no driver is ready, the next one is asked.
        if (_wanted is not { } wanted) return;
        TryAsk(ControlMessage.SetFilters, wanted.Filters, reply =>
        {
            if (_wanted != wanted) return;
            _wanted = null;
            bool done = reply.Header.Type == (uint)ControlMessage.Done;
            if (done) _filters = wanted.Filters;
            wanted.Answer(done ? null : PeerText.OneLine(reply));
        });
    }

    private sealed class FilterWish(NetworkFilters filters, Action<string?> answer)
    {
        public NetworkFilters Filters => filters;

        public Action<string?> Answer => answer;
    }
}
