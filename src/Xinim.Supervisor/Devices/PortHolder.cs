using System.Diagnostics;

namespace Xinim.Supervisor.Devices;

/// <summary>The client of a console port, and what it has of it over all lives of drivers.</summary>
/// <param name="port">Its number.</param>
/// <param name="session">What drivers know its stream by.</param>
/// <param name="memory">Owned by the slot.</param>
internal sealed class PortHolder(IDeviceClient client, uint port, ulong session, ClientMemory memory)
{
    private long? _broken;

    public IDeviceClient Client => client;

    public uint Port => port;

    public ulong Session => session;

    public ClientMemory Memory => memory;

    /// <summary>Of the port, as it was opened with the present driver; null where it was not.</summary>
    public uint? Incarnation { get; set; }

    /// <summary>The client has heard of its port.</summary>
    public bool Announced { get; set; }

    /// <summary>Its rings are found broken.</summary>
    /// <returns>True where that has happened before, not longer ago than <paramref name="limit"/>.</returns>
    public bool BreaksAgain(TimeSpan limit)
    {
        bool again = _broken is { } before && Stopwatch.GetElapsedTime(before) < limit;
        _broken = Stopwatch.GetTimestamp();
        return again;
    }
}
