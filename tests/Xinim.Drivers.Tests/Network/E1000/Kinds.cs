using Xinim.TestKit.E1000;
using Xunit;

namespace Xinim.Drivers.Tests.Network.E1000;

/// <summary>The four variants, for theories.</summary>
public static class Kinds
{
    public static TheoryData<E1000ModelKind> All => [E1000ModelKind.I82540, E1000ModelKind.I82545, E1000ModelKind.I82544, E1000ModelKind.I82574];

    /// <summary>Each variant as the manual has it and as QEMU 7.2 has it.</summary>
    public static TheoryData<E1000ModelKind, E1000Misbehaviour> AllAndQemu
    {
        get
        {
            TheoryData<E1000ModelKind, E1000Misbehaviour> data = [];
            foreach (E1000ModelKind kind in Enum.GetValues<E1000ModelKind>())
            {
                data.Add(kind, E1000Misbehaviour.None);
                data.Add(kind, E1000Misbehaviour.LikeQemu);
            }

            return data;
        }
    }
}
