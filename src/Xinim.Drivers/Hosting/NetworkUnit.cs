using Xinim.Drivers.Network;
using Xinim.Ipc.Protocols;

namespace Xinim.Drivers.Hosting;

/// <summary>A NIC as its loop serves it: the client's pairs of queues, one after the other.</summary>
internal sealed class NetworkUnit(INetworkDriver driver, VitalSigns signs) : ServedUnit<NetworkRings.DriverSide>(0, driver)
{
    private ServedPair[] _pairs = [];

    public override Work Pass(NetworkRings.DriverSide rings)
    {
        Work found = Work.None;
        ServedPair[] pairs = _pairs;
        for (int i = 0; i < pairs.Length; i++)
        {
            Work work = pairs[i].Pass(rings[i]);
            if (work > found) found = work;
        }

        return found;
    }

    public override bool Drain(NetworkRings.DriverSide rings)
    {
        uint returned = 0;
        for (int i = 0; i < _pairs.Length; i++) returned += _pairs[i].Drain(rings[i]);
        if (returned != 0) return true;
        Thread.Yield();
        return driver.TxBusy;
    }

    protected override void Prepare(in AttachMessage what)
    {
        driver.Prepare((int)what.Rings.Pairs, what.Wishes);
        _pairs = [.. driver.Pairs.Select(pair => new ServedPair(pair, new TransmitSampler(signs)))];
    }

    /// <summary>The driver makes others for the next client.</summary>
    protected override void OnDetached() => _pairs = [];

    private sealed class ServedPair(INetworkPair pair, TransmitSampler sampler)
    {
        public Work Pass(NetworkRings.DriverEnd rings)
        {
            uint received = pair.RxReturn(rings.Received);
            uint given = pair.RxProvide(rings.Free);
            uint submitted = pair.TxProvide(rings.Submit);
            sampler.OnTaken(submitted);
            uint completed = pair.TxReturn(rings.Completed);
            sampler.OnReturned(completed);
            if ((received | completed) != 0) rings.Client.Ring();
            return (submitted | completed) != 0 ? Work.Client : (received | given) != 0 ? Work.Device : Work.None;
        }

        public uint Drain(NetworkRings.DriverEnd rings) => pair.RxReturn(rings.Received) + pair.TxReturn(rings.Completed);
    }
}
