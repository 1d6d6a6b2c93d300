using Xinim.Supervisor.Devices;

namespace Xinim.Supervisor.Clients;

/// <summary>An operator's words for <see cref="DeviceVerbs"/>.</summary>
internal static class DeviceCommands
{
    /// <param name="argument">For update: the executable.</param>
    /// <param name="onDone">Null where it is done, otherwise why not.</param>
    public static void Run(ManagedDevice device, string verb, string argument, Action<string?> onDone)
    {
        switch (verb)
        {
            case "start": device.Verbs.Start(onDone); break;
            case "stop": device.Verbs.Stop(onDone); break;
            case "restart": device.Verbs.Restart(onDone); break;
            case "update" when Path.IsPathFullyQualified(argument): device.Verbs.Update(argument, onDone); break;
            case "update": onDone($"'{argument}' is no absolute path of an executable"); break;
            default: onDone($"there is no verb '{verb}'; there are start, stop, restart and update"); break;
        }
    }
}
