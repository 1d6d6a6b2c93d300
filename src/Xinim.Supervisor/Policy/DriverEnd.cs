namespace Xinim.Supervisor.Policy;

/// <summary>How a driver's life ended. All kinds lead to the same path; they differ in what is logged, counted and told to scripts.</summary>
internal readonly record struct DriverEnd(FaultKind Kind, string Reason);

/// <summary>Kinds of failure.</summary>
public enum FaultKind
{
    /// <summary>None so far.</summary>
    None,

    /// <summary>It reported that its device broke its manual, and ended.</summary>
    Device,

    /// <summary>Its process ended by itself.</summary>
    Exit,

    /// <summary>Its process was killed by a signal that was not the supervisor's.</summary>
    Signal,

    /// <summary>Its heart stopped, or it did not answer in time.</summary>
    Hang,

    /// <summary>It said what no driver says.</summary>
    Protocol,

    /// <summary>Its client reports that it returned nonsense.</summary>
    Client,

    /// <summary>It could not be started or did not get ready.</summary>
    Start,

    /// <summary>Its device disappeared.</summary>
    Gone,

    /// <summary>It was stopped, restarted or replaced by an operator.</summary>
    Asked,
}
