using Xinim.Ipc.Memory;
using Xinim.Ipc.Protocols;

namespace Xinim.Drivers.Hosting;

/// <summary>Shows the supervisor that the loop goes round: beaten by the loop itself, never by a thread or timer of its own.</summary>
internal sealed class Heart(SharedRegion vital, uint periodMilliseconds)
{
    private readonly VitalSigns _signs = new(vital);

    /// <summary>The longest that a sleeping loop may sleep.</summary>
    public TimeSpan Period { get; } = TimeSpan.FromMilliseconds(Math.Clamp(periodMilliseconds, 1, 60_000));

    /// <summary>The page that it beats on.</summary>
    public VitalSigns Signs => _signs;

    public void Beat() => _signs.Beat();
}
