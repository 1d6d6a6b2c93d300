using Xinim.Ipc.Protocols;
using Xinim.Vfio;

namespace Xinim.Drivers.Network.E1000;

/// <summary>
/// Causes, masks and moderation [SDM §13.4.17 to §13.4.21] [82574 §7.4], one vector for everything. The device is masked from an interrupt
/// until <see cref="Arm"/>; in between the loop polls.
/// </summary>
internal sealed class E1000Interrupts
{
    private readonly E1000Hardware _hardware;
    private readonly E1000TxQueue _tx;
    private readonly E1000RxQueue _rx;
    private readonly E1000Moderation _moderation;
    private readonly InterruptCauses _receive;
    private readonly InterruptCauses _transmit;
    private uint _harvestsSeen;

    public E1000Interrupts(E1000Hardware hardware, E1000TxQueue tx, E1000RxQueue rx, E1000Moderation moderation, InterruptKind kind)
    {
        _hardware = hardware;
        _tx = tx;
        _rx = rx;
        _moderation = moderation;
        // In MSI-X mode the queues and OTHER have vectors; the causes behind OTHER must be unmasked too [82574 §7.4.1, §10.2.4.9].
        bool vectors = kind == InterruptKind.MsiX;
        _receive = InterruptCauses.ReceiveOverrun | InterruptCauses.LinkChange
            | (vectors ? InterruptCauses.ReceiveQueue0 | InterruptCauses.Other : InterruptCauses.Receive | InterruptCauses.ReceiveLow);
        _transmit = vectors ? InterruptCauses.TransmitQueue0 : InterruptCauses.TransmitWritten;
    }

    /// <summary>Interrupts so far.</summary>
    public ulong Count { get; private set; }

    /// <summary>As last read.</summary>
    public LinkState Link { get; private set; }

    private uint Harvests => _tx.Harvests + _rx.Harvests;

    /// <summary>After a reset.</summary>
    public void Restart()
    {
        _ = ReadLink();
        _harvestsSeen = Harvests;
        _moderation.Restart(_rx.Frames);
    }

    /// <summary>
    /// One write. After polls that found more than one batch since the causes were last cleared, they are cleared once more: the device
    /// latches them while masked, and they would end the sleep at once for frames that are long delivered. The read costs less than that
    /// wake-up; a write to ICR would cost less still, but only a read makes sure that the descriptors behind every cause that it clears
    /// are in memory when the loop polls for the last time (PCI Local Bus Specification 3.0 §3.2.5).
    /// </summary>
    public void Arm()
    {
        if (Harvests - _harvestsSeen > 1) TakeCauses();
        _hardware.Registers.MaskSet.Write(_tx.Busy ? _receive | _transmit : _receive);
    }

    /// <summary>Masks first: the 82574 clears ICR at a read only while nothing is unmasked [82574 §7.4.5].</summary>
    public void Handle()
    {
        _hardware.MaskInterrupts();
        TakeCauses();
        Count++;
        _moderation.Update(_rx.Frames);
    }

    /// <summary>Reads the link state; control path.</summary>
    public DeviceStatus ReadLink()
    {
        Link = _hardware.ReadLink(out DeviceStatus status);
        return status;
    }

    private void TakeCauses()
    {
        InterruptCauses causes = _hardware.Registers.Causes.ReadAndClear();
        if (causes == InterruptCauses.All) throw new DeviceFaultException("ICR reads 0xffffffff [SDM §13.4.17]: the device was unplugged or is powered down");
        _harvestsSeen = Harvests;
        if ((causes & InterruptCauses.LinkChange) != 0) _ = ReadLink();
        if ((causes & (InterruptCauses.ReceiveOverrun | InterruptCauses.ReceiveLow)) != 0) _rx.Hurry();
    }
}
