using Xinim.Vfio;
using Xinim.Vfio.Registers;

namespace Xinim.Drivers.Network.E1000;

/// <summary>
/// The PHY behind MDIC [SDM §13.4.7]. CTRL.RST does not reach it [SDM §13.4.1]: what a dead driver, or whoever had the device before, left
/// there would outlive every driver that follows.
/// </summary>
internal sealed class E1000Phy(E1000Registers registers, string device)
{
    private const int ControlRegister = 0; // PCTRL [SDM §13.4.7]; IEEE 802.3 §22.2.4.1
    private const int RegisterShift = 16; // REGADD [SDM §13.4.7]
    private const ManagementAccess InternalPhy = (ManagementAccess)(1u << 21); // PHYADD 1 [SDM §13.4.7]
    private static readonly TimeSpan s_accessLimit = TimeSpan.FromMilliseconds(10);
    private static readonly TimeSpan s_resetLimit = TimeSpan.FromMilliseconds(500); // IEEE 802.3 §22.2.4.1.1

    /// <summary>
    /// Takes a PHY out of loopback, isolation or sleep. One that is in none of them is left alone: it keeps its link, which a reset
    /// would take away for as long as a negotiation lasts.
    /// </summary>
    public void Restore()
    {
        const PhyControl deaf = PhyControl.Loopback | PhyControl.PowerDown | PhyControl.Isolate;
        if (ReadControl() is not { } control || (control & deaf) == 0) return;
        WriteControl(PhyControl.Reset | PhyControl.Negotiate | PhyControl.RestartNegotiation | PhyControl.FullDuplex | PhyControl.Speed1000);
        Wait.Until(() => (ReadControl() & PhyControl.Reset) == 0, s_resetLimit, $"PCTRL.Reset = 0 of {device}'s PHY [SDM §13.4.7]");
    }

    /// <summary>Null where no PHY answers: a fibre or SerDes variant has none.</summary>
    private PhyControl? ReadControl()
    {
        ManagementAccess answer = Access(ManagementAccess.Read);
        return (answer & ManagementAccess.Error) != 0 ? null : (PhyControl)((uint)answer & 0xffff);
    }

    private void WriteControl(PhyControl value)
    {
        if ((Access(ManagementAccess.Write | (ManagementAccess)value) & ManagementAccess.Error) != 0)
            throw new DeviceFaultException($"{device}'s PHY does not take a write of PCTRL [SDM §13.4.7]");
    }

    private ManagementAccess Access(ManagementAccess what)
    {
        ManagementAccess answer = default;
        registers.Management.Write(what | InternalPhy | (ManagementAccess)(ControlRegister << RegisterShift));
        Wait.Until(() => ((answer = registers.Management.Read()) & ManagementAccess.Ready) != 0, s_accessLimit, $"MDIC.R of {device} [SDM §13.4.7]");
        return answer;
    }
}
