using System.Runtime.InteropServices;
using Xinim.Ipc.Protocols;

namespace Xinim.Drivers.Block.Ahci;

/// <summary>A request in a slot: what must be known of it, where the device does not reach.</summary>
[StructLayout(LayoutKind.Auto)]
internal struct AhciRequest
{
    public ulong Cookie;
    public ulong Lba;
    public long Since;
    public BlockCompletion Answer;
    public uint Blocks;
    public ushort Regions;
    public BlockOperation Operation;

    /// <summary>How it is done: zeroes are written, or trimmed.</summary>
    public BlockOperation Verb;
    public bool Fua;

    /// <summary>How often it was given in vain.</summary>
    public byte Attempts;

    /// <summary>How often it was overdue.</summary>
    public byte Timeouts;
}

/// <summary>What a port has with the controller.</summary>
internal enum QueueMode
{
    Idle,

    /// <summary>Queued reads and writes.</summary>
    Queued,

    /// <summary>One request that is not queued.</summary>
    Plain,

    /// <summary>A command of the driver's own.</summary>
    Job,
}

/// <summary>What a look found.</summary>
internal enum PollResult
{
    Nothing,
    Finished,
    JobDone,

    /// <summary>A command failed; the port has stopped.</summary>
    Error,
}
