using Xinim.Drivers.Network;
using Xinim.Ipc.Protocols;

namespace Xinim.Drivers.Hosting;

/// <summary>A NIC as its loop serves it.</summary>
internal sealed class NetworkUnit(INetworkDriver driver, VitalSigns signs) : ServedUnit<NetworkRings.DriverEnd>(0, driver)
{
    private readonly TransmitSampler _sampler = new(signs);

    public override Work Pass(NetworkRings.DriverEnd rings)
    {
        uint received = driver.RxReturn(rings.Received);
        uint given = driver.RxProvide(rings.Free);
        uint submitted = driver.TxProvide(rings.Submit);
        _sampler.OnTaken(submitted);
        uint completed = driver.TxReturn(rings.Completed);
        _sampler.OnReturned(completed);
        if ((received | completed) != 0) rings.Client.Ring();
        return (submitted | completed) != 0 ? Work.Client : (received | given) != 0 ? Work.Device : Work.None;
    }

    public override bool Drain(NetworkRings.DriverEnd rings)
    {
        if (driver.RxReturn(rings.Received) + driver.TxReturn(rings.Completed) != 0) return true;
        Thread.Yield();
        return driver.TxBusy;
    }

    protected override void Prepare(in AttachMessage what) => driver.Prepare(what.Wishes);

    protected override void OnDetached() => _sampler.Forget();
}
