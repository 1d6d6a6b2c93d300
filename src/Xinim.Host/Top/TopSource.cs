using System.Text.Json;
using Xinim.Host.Commands;
using Xinim.Ipc.Channels;
using Xinim.Net.Ports;

namespace Xinim.Host.Top;

/// <summary>Keeps a <see cref="TopState"/> up to date, over as many connections as it takes.</summary>
internal sealed class TopSource(TopState state, string? socket) : IDisposable
{
    private DaemonLink? _daemon;
    private EventReader? _events;

    /// <summary>Asks the daemon. One that does not answer is a problem to be shown, and is tried again next time.</summary>
    public void Refresh()
    {
        string? problem = Try(() =>
        {
            _daemon ??= DaemonLink.Connect(socket);
            _events ??= new EventReader(_daemon);
            state.Update(_daemon.Status(), _events.ReadNew());
        });
        if (problem is null) return;
        state.Problem = problem;
        Dispose();
    }

    /// <summary>Restarts a driver meanwhile; the outcome becomes the state's notice.</summary>
    public Task Restart(string device)
    {
        state.Notice = $"{device}: restarting";
        return Task.Run(() => state.Notice = Try(() =>
        {
            using DaemonLink daemon = DaemonLink.Connect(socket, forVerb: true);
            daemon.Control("restart", device, "");
        }) ?? $"{device}: restarted");
    }

    public void Dispose()
    {
        _daemon?.Dispose();
        _daemon = null;
        _events = null;
    }

    private static string? Try(Action action)
    {
        try
        {
            action();
            return null;
        }
        catch (Exception exception) when (exception is NetworkPortException or ChannelException or IOException or UnauthorizedAccessException or JsonException)
        {
            return exception.Message;
        }
    }
}
