using Xinim.Ipc;
using Xinim.Ipc.Channels;
using Xinim.Ipc.Protocols;
using Xinim.Net.Ports;
using Xinim.Supervisor.Events;
using Xinim.Supervisor.Status;

namespace Xinim.Host.Commands;

/// <summary>A connection to the daemon, with the questions that an operator has.</summary>
internal sealed class DaemonLink : IDisposable
{
    private static readonly TimeSpan AnswerLimit = TimeSpan.FromSeconds(5);

    /// <summary>A verb ends when a driver has finished its work, and the next one is Ready.</summary>
    private static readonly TimeSpan VerbLimit = TimeSpan.FromSeconds(75);

    private readonly DaemonConnection _control;

    private DaemonLink(DaemonConnection control) => _control = control;

    /// <param name="socket">Null for the usual one.</param>
    /// <exception cref="LinuxException">No daemon listens there, or this user may not connect.</exception>
    public static DaemonLink Connect(string? socket, bool forVerb = false) => new(DaemonConnection.Connect(socket, forVerb ? VerbLimit : AnswerLimit, reason => new NetworkPortException(reason)));

    /// <exception cref="NetworkPortException">No answer.</exception>
    public StatusReport Status()
    {
        using ChannelMessage report = _control.Ask(ClientMessage.GetStatus, 0u, ClientMessage.Report);
        return StatusReport.FromJson(report.Text);
    }

    /// <summary>The next events after a number; none where there are no more.</summary>
    /// <exception cref="NetworkPortException">No answer.</exception>
    public EventPage Events(ulong after)
    {
        using ChannelMessage page = _control.Ask(ClientMessage.GetEvents, after, ClientMessage.Events);
        return EventPage.FromJson(page.Text);
    }

    /// <summary>Has something done to a device, and waits until it is.</summary>
    /// <exception cref="NetworkPortException">Refused, failed, or no answer; the message says why.</exception>
    public void Control(string verb, string device, string argument)
    {
        using ChannelMessage done = _control.AskText(ClientMessage.Control, $"{verb}\0{device}\0{argument}", ClientMessage.Done);
    }

    public void Dispose() => _control.Dispose();
}
