using Xinim.Vfio;

namespace Xinim.TestKit.E1000;

// Causes, masks and the link [SDM §13.4.17 to §13.4.21].
public sealed partial class E1000Model
{
    private const uint CauseTxdw = 1u << 0, CauseTxqe = 1u << 1, CauseLsc = 1u << 2, CauseRxdmt0 = 1u << 4, CauseRxo = 1u << 6, CauseRxt0 = 1u << 7;
    private const uint CauseRxq0 = 1u << 20, CauseTxq0 = 1u << 22, CauseOther = 1u << 24;

    private (uint Speed, bool FullDuplex)? _link = (1000, true);
    private bool _asserted;

    /// <summary>The link partner holds the transmitter: STATUS.TXOFF.</summary>
    public bool TransmitPaused { get; set; }

    /// <summary>Pulls the cable, or plugs it in.</summary>
    public void SetLink(uint? speed, bool fullDuplex = true)
    {
        _link = speed is { } value ? (value, fullDuplex) : null;
        Cause(CauseLsc);
    }

    /// <summary>The same without telling anybody: an interrupt that was lost.</summary>
    public void SetLinkSilently(uint? speed) => _link = speed is { } value ? (value, true) : null;

    /// <summary>Sets causes as the device does; for a test of masks.</summary>
    public void Cause(uint bits)
    {
        if (UsesVectors && (bits & (CauseLsc | CauseRxo)) != 0) bits |= CauseOther;
        SetCauses(this[Icr] | bits);
    }

    private bool UsesVectors => Device.Enabled?.Kind == InterruptKind.MsiX;

    private void SetCauses(uint causes)
    {
        this[Icr] = causes;
        UpdateInterrupt();
    }

    /// <summary>Cleared by the read; on the 82574 only while nothing is unmasked, as QEMU 7.2 has it, the strictest reading of its datasheet.</summary>
    private uint ReadCauses()
    {
        uint value = this[Icr];
        if (!IsExpress || this[Ims] == 0) SetCauses(0);
        if (Has(E1000Misbehaviour.InterruptStorm)) Cause(CauseRxt0 | CauseTxdw | CauseLsc | CauseRxo);
        return value;
    }

    private void UpdateInterrupt()
    {
        bool assert = (this[Icr] & this[Ims]) != 0;
        if (UsesVectors) assert = (this[Icr] & this[Ims] & (CauseRxq0 | CauseTxq0 | CauseOther)) != 0 && MapsToVectorZero();
        if (assert && !_asserted) Device.Enabled?.Raise(0);
        if (!assert && _asserted) Device.Enabled?.Lower(0);
        _asserted = assert;
    }

    private bool MapsToVectorZero()
    {
        const uint valid = (1u << 3) | (1u << 11) | (1u << 19); // IVAR: RXQ0, TXQ0, OTHER with their valid bits, vector 0
        return (this[Ivar] & 0x000f_0f0f) == valid;
    }
}
