using System.Runtime.CompilerServices;
using Microsoft.Extensions.Logging;
using Xinim.Ipc.Protocols;

namespace Xinim.Supervisor.Devices;

/// <summary>A class of devices: those whose clients and drivers speak one protocol.</summary>
/// <param name="Name">In manifests.</param>
/// <param name="Prefix">Devices without a name are called so, with a number.</param>
/// <param name="Open">How a client asks for one.</param>
/// <param name="Questions">What only its clients ask.</param>
/// <param name="MakeSlot">Makes a device's part of this class.</param>
internal sealed record DeviceClass(string Name, string Prefix, ClassMessage Open, IReadOnlyList<ClassMessage> Questions, Func<ManagedDevice, ILogger, DeviceSlot> MakeSlot)
{
    /// <summary>All that there are.</summary>
    public static IReadOnlyList<DeviceClass> All { get; } =
    [
        new(
            "network", "net", ClassMessage.Of<OpenNetworkMessage>(ClientMessage.OpenNetwork), [ClassMessage.Of<NetworkFilters>(ClientMessage.SetFilters)],
            (device, log) => new NetworkSlot(device, log)),
        new(
            "block", "disk", ClassMessage.Of<OpenBlockMessage>(ClientMessage.OpenBlock), [ClassMessage.Of<uint>(ClientMessage.SetWriteCache)],
            (device, log) => new BlockSlot(device, log)),
        new("console", "con", ClassMessage.Of<OpenConsoleMessage>(ClientMessage.OpenConsole), [], (device, log) => new ConsoleSlot(device, log)),
    ];

    /// <summary>For messages.</summary>
    public static string Names => string.Join(", ", All.Select(known => known.Name));

    /// <summary>What only clients of some class send: wishes and questions.</summary>
    public static IEnumerable<ClassMessage> Messages => All.SelectMany(known => known.Questions.Prepend(known.Open));

    /// <returns>Null where there is none.</returns>
    public static DeviceClass? Find(string name) => All.FirstOrDefault(known => known.Name == name);
}

/// <summary>A message that only clients of one class send.</summary>
/// <param name="Bytes">What it has at least.</param>
internal readonly record struct ClassMessage(ClientMessage Type, int Bytes)
{
    /// <param name="type">Carries a T.</param>
    public static ClassMessage Of<T>(ClientMessage type)
        where T : unmanaged
        => new(type, Unsafe.SizeOf<T>());
}
