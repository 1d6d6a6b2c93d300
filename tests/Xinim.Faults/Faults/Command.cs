using Xinim.Faults.Targets;
using Xinim.FaultyDriver;

namespace Xinim.Faults.Faults;

/// <summary>Tells the faulty driver what to do wrong: a word in the last page of its work region.</summary>
internal sealed class Command(Misdeed misdeed) : IFault
{
    public string Kind => string.Concat(misdeed.ToString().Select((letter, at) => char.IsUpper(letter) ? (at == 0 ? "" : "-") + char.ToLowerInvariant(letter) : letter.ToString()));

    public bool Lies => misdeed is >= Misdeed.UnknownReceive and <= Misdeed.WildIndex;

    // Half a second passes until a silent driver is noticed.
    public int Weight => misdeed is Misdeed.Spin or Misdeed.Sleep or Misdeed.Withhold ? 1 : 4;

    public bool Fits(DeviceTarget target) => target.Obeys && target.Kind.Class switch
    {
        "block" => misdeed is < Misdeed.UnknownReceive or > Misdeed.EndlessReceive,
        // Bytes are copied: there are no buffers to return.
        "console" => misdeed is < Misdeed.UnknownReceive or > Misdeed.WildIndex,
        _ => true,
    };

    public string Inject(DeviceTarget target, Random random) => SharedMemory.With(target, SharedMemory.Work, (memory, region) =>
    {
        memory.Write32(SharedMemory.Mailbox(region), (uint)misdeed);
        return "told";
    });
}
