namespace Xinim.FaultyDriver;

/// <summary>What the faulty driver does on command; the campaign's tool has the same numbers.</summary>
public enum Misdeed : uint
{
    None = 0,

    /// <summary>Ends the process with a status that says nothing.</summary>
    Exit,

    /// <summary>Reports a broken device.</summary>
    Throw,

    /// <summary>Dies of an exception that nobody expects.</summary>
    Crash,

    /// <summary>Takes memory until there is none.</summary>
    LeakMemory,

    /// <summary>Takes descriptors until there is none, and goes on.</summary>
    LeakDescriptors,

    /// <summary>Never comes back.</summary>
    Spin,

    /// <summary>Sleeps and never comes back.</summary>
    Sleep,

    /// <summary>Says more than anybody wants to hear.</summary>
    Babble,

    /// <summary>Returns a receive buffer that it does not hold.</summary>
    UnknownReceive,

    /// <summary>Returns a receive buffer twice.</summary>
    DoubleReceive,

    /// <summary>Returns a receive buffer with more bytes than it has.</summary>
    LongReceive,

    /// <summary>Returns a receive buffer that the device has not filled.</summary>
    EarlyReceive,

    /// <summary>Returns pieces of a frame that never ends.</summary>
    EndlessReceive,

    /// <summary>Returns a transmit buffer that it does not hold.</summary>
    UnknownCompletion,

    /// <summary>Returns a transmit buffer twice.</summary>
    DoubleCompletion,

    /// <summary>Returns a transmit buffer without having sent it.</summary>
    FalseCompletion,

    /// <summary>Publishes more elements than the ring has.</summary>
    WildIndex,

    /// <summary>Takes frames and buffers, and moves none any more.</summary>
    Withhold,
}
