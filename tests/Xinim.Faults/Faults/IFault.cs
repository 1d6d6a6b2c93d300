using Xinim.Faults.Targets;

namespace Xinim.Faults.Faults;

/// <summary>A kind of fault.</summary>
internal interface IFault
{
    /// <summary>Its name in tables and after <c>--kinds</c>.</summary>
    string Kind { get; }

    /// <summary>
    /// True where the driver may say and do what is not so after it: then frames may be lost or damaged, and what counts is that the damage is caught.
    /// False where the driver can only fall silent: then nothing may be lost or damaged but what arrived while no driver listened.
    /// </summary>
    bool Lies { get; }

    /// <summary>How often it is chosen beside the others.</summary>
    int Weight => 4;

    /// <summary>Whether it can be injected there.</summary>
    bool Fits(DeviceTarget target);

    /// <summary>Injects one.</summary>
    /// <param name="target">Its driver runs, as far as is known.</param>
    /// <param name="random">The only source of choices.</param>
    /// <returns>What was done, for the log.</returns>
    /// <exception cref="IOException">The driver has ended meanwhile.</exception>
    string Inject(DeviceTarget target, Random random);
}
