using Xinim.Ipc;
using Xinim.Ipc.Channels;
using Xinim.Ipc.Events;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Processes;
using Xinim.Ipc.Protocols;

namespace Xinim.Supervisor.Devices;

/// <summary>
/// A driver process without a device: it holds one end of a channel and nothing else, and waits for Start. <see cref="DriverLife"/> makes a
/// life of it; until then it can be kept ready (a standby) or be dropped.
/// </summary>
internal sealed class SpawnedDriver : IDisposable
{
    private SpawnedDriver(ChildProcess child, Channel channel, SharedRegion vital)
    {
        Child = child;
        Channel = channel;
        Vital = vital;
    }

    public ChildProcess Child { get; }

    public Channel Channel { get; }

    /// <summary>The page of its <see cref="VitalSigns"/>.</summary>
    public SharedRegion Vital { get; }

    /// <summary>Starts the process.</summary>
    /// <exception cref="LinuxException">It cannot be started.</exception>
    public static SpawnedDriver Spawn(LaunchRequest request)
    {
        (Channel mine, Channel its) = Channel.CreatePair();
        SharedRegion? vital = null;
        using (its)
        {
            try
            {
                vital = VitalSigns.Create();
                return new SpawnedDriver(ProcessLauncher.Start(request with { Handles = [its.Handle] }), mine, vital);
            }
            catch
            {
                vital?.Dispose();
                mine.Dispose();
                throw;
            }
        }
    }

    /// <summary>Waits, without blocking, until the process has shown that it runs and has the driver.</summary>
    /// <param name="driver">The driver that it must have.</param>
    /// <param name="limit">After this it counts as broken.</param>
    /// <param name="onKnown">Called once: null where it is fit to serve, otherwise what is wrong. Nothing is watched any more then.</param>
    public void AwaitHello(EventLoop loop, string driver, TimeSpan limit, Action<string?> onKnown)
    {
        List<IDisposable> watches = [];
        void Know(string? problem)
        {
            foreach (IDisposable watch in watches) watch.Dispose();
            onKnown(problem);
        }

        watches.Add(loop.After(limit, () => Know($"it did not say Hello within {limit.TotalMilliseconds:0} ms")));
        watches.Add(loop.Watch(Channel.Handle, () =>
        {
            if (HearHello(driver, out string? problem)) Know(problem);
        }));
    }

    /// <summary>Kills the process if it still runs.</summary>
    public void Dispose()
    {
        Child.Dispose();
        Channel.Dispose();
        Vital.Dispose();
    }

    private bool HearHello(string driver, out string? problem)
    {
        problem = null;
        try
        {
            if (!Channel.TryReceive(out ChannelMessage? message))
            {
                problem = Child.WaitForExit(TimeSpan.FromMilliseconds(100)) ? $"it ended at once ({Child.Exit})" : "it closed its channel";
                return true;
            }

            if (message is null) return false;
            using (message) problem = Judge(message, driver);
        }
        catch (ChannelException exception)
        {
            problem = $"it broke the protocol: {exception.Message}";
        }

        return true;
    }

    private static string? Judge(ChannelMessage message, string driver)
    {
        if (message.Header.Type != (uint)ControlMessage.Hello) return $"it said {message.Header.Type} instead of Hello";
        string drivers = PeerText.OneLine(message);
        return drivers.Split(' ').Contains(driver, StringComparer.Ordinal) ? null : $"it has no driver '{driver}', only {drivers}";
    }
}
