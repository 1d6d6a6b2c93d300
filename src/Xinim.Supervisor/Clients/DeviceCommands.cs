using Xinim.Supervisor.Devices;

namespace Xinim.Supervisor.Clients;

/// <summary>An operator's words for <see cref="DeviceVerbs"/>.</summary>
internal static class DeviceCommands
{
    /// <param name="port">The part of the device that was named; null for all of it.</param>
    /// <param name="argument">For update: the executable.</param>
    /// <param name="onDone">Null where it is done, otherwise why not.</param>
    public static void Run(ManagedDevice device, uint? port, string verb, string argument, Action<string?> onDone)
    {
        if (device.Client.TryRun(verb, port, onDone)) return;
        if (port is not null)
        {
            onDone($"port {port} of {device.Name} has no driver of its own; name {device.Name}");
            return;
        }

        switch (verb)
        {
            case "start": device.Verbs.Start(onDone); break;
            case "stop": device.Verbs.Stop(onDone); break;
            case "restart": device.Verbs.Restart(onDone); break;
            case "update" when Path.IsPathFullyQualified(argument): device.Verbs.Update(argument, onDone); break;
            case "update": onDone($"'{argument}' is no absolute path of an executable"); break;
            default: onDone($"there is no verb '{verb}'; there are start, stop, restart and update, for disks idle, standby, eject and load"); break;
        }
    }
}
