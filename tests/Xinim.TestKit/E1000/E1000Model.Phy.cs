namespace Xinim.TestKit.E1000;

/// <summary>The PHY behind MDIC [13.4.7]: its control register, which no reset of the MAC reaches.</summary>
public sealed partial class E1000Model
{
    private const uint MdicWrite = 1u << 26, MdicRead = 1u << 27, MdicReady = 1u << 28, MdicError = 1u << 30;

    /// <summary>PCTRL as it stands: negotiation on, 1000 Mbit/s, full duplex.</summary>
    public ushort PhyControl { get; set; } = 0x1140;

    /// <summary>False: a fibre variant, whose MDIC reports errors.</summary>
    public bool HasPhy { get; set; } = true;

    /// <summary>Writes of PCTRL: each costs the link for a moment.</summary>
    public int PhyWrites { get; private set; }

    private void WriteManagement(uint word)
    {
        uint phy = (word >> 21) & 0x1f, register = (word >> 16) & 0x1f;
        uint done = (word & ~MdicReady) | MdicReady;
        if (!HasPhy || phy != 1 || register != 0)
        {
            this[Mdic] = done | MdicError;
            return;
        }

        if ((word & MdicWrite) != 0)
        {
            PhyWrites++;
            // Reset and restart of the negotiation clear themselves.
            PhyControl = (ushort)(word & ~0x8200u);
        }

        this[Mdic] = (word & MdicRead) != 0 ? (done & 0xffff_0000) | PhyControl : done;
    }
}
