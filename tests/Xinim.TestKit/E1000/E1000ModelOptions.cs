namespace Xinim.TestKit.E1000;

/// <summary>Members of the family, by PCI device id.</summary>
public enum E1000ModelKind
{
    I82540 = 0x100e,
    I82545 = 0x100f,
    I82544 = 0x100c,
    I82574 = 0x10d3,
}

/// <summary>What a broken or hostile device does.</summary>
[Flags]
public enum E1000Misbehaviour
{
    None = 0,

    /// <summary>CTRL.RST never clears.</summary>
    StuckReset = 1 << 0,

    /// <summary>The EEPROM's words add up to something else.</summary>
    BadEepromSum = 1 << 1,

    /// <summary>EERD.DONE never comes.</summary>
    SilentEeprom = 1 << 2,

    /// <summary>The EEPROM, sum right, holds a group address.</summary>
    GroupAddress = 1 << 3,

    /// <summary>Transmit descriptors are never marked done.</summary>
    NoTransmitStatus = 1 << 4,

    /// <summary>Marks every descriptor of the transmit ring done, given or not.</summary>
    DoneEverywhere = 1 << 5,

    /// <summary>Received lengths are larger than the buffer.</summary>
    LongLength = 1 << 6,

    /// <summary>Received frames never end.</summary>
    EndlessFrame = 1 << 7,

    /// <summary>Receive descriptors are done at once, with random contents.</summary>
    RandomStatus = 1 << 8,

    /// <summary>Every read gives all ones: the device was pulled out.</summary>
    Removed = 1 << 9,

    /// <summary>A cause is set again as soon as it is cleared.</summary>
    InterruptStorm = 1 << 10,

    /// <summary>Every received frame is reported damaged.</summary>
    DamagedFrames = 1 << 11,

    /// <summary>A descriptor in the middle of a frame holds less than its buffer.</summary>
    ShortMiddle = 1 << 12,

    /// <summary>STATUS.GIO Master Enable never clears (82574).</summary>
    MasterStaysOn = 1 << 13,

    /// <summary>Error counters are not cleared by a read, and CTRL.RST leaves every register as it is: what QEMU 7.2's models do.</summary>
    LikeQemu = 1 << 14,
}
