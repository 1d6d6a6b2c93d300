using System.Text.Json.Serialization;
using Xinim.Ipc;
using Xinim.Supervisor.Policy;
using Xinim.Vfio.Remote;

namespace Xinim.Supervisor.Configuration;

/// <summary>The daemon's configuration file. Every key has a default; an empty object is valid.</summary>
public sealed record DaemonConfiguration
{
    /// <summary>Path of the socket that clients connect to.</summary>
    public string Socket { get; set; } = RuntimePaths.Socket;

    /// <summary>What the daemon remembers on disk, beside its socket: nothing that has to outlive the machine.</summary>
    internal string StateFolder() => Socket + ".state";

    /// <summary>A file for each process that the daemon has started.</summary>
    public string ProcessFolder() => Path.Combine(StateFolder(), "processes");

    /// <summary>A file for each device that the daemon took from the kernel and is to give back.</summary>
    public string TakenFolder() => Path.Combine(StateFolder(), "taken");

    /// <summary>Group whose members may connect; root and the daemon's own user always may. Null: nobody else.</summary>
    public string? SocketGroup { get; set; }

    /// <summary>Drivers run as users of this number and up, one each; only when the daemon is root.</summary>
    public uint DriverUserBase { get; set; } = 64_100;

    /// <summary>False: drivers see the daemon's files, network and processes and have every system call; to look at one with a debugger.</summary>
    public bool Sandbox { get; set; } = true;

    /// <summary>Start although a named device is missing, or there is none at all: what appears later is taken then. False: that is an error.</summary>
    public bool WaitForDevices { get; set; }

    /// <summary>Devices to take. Empty: every function that is bound to vfio-pci and has a driver.</summary>
    public IReadOnlyList<DeviceConfiguration> Devices { get; set; } = [];
}

/// <summary>One device to take.</summary>
public sealed record DeviceConfiguration
{
    /// <summary>A PCI address such as <c>0000:00:03.0</c>, <c>remote:MODEL</c> for one of QEMU's device models, or <c>vhost-user-net:PATH</c> or <c>vhost-user-blk:PATH</c> for a back end that listens there.</summary>
    public required string Device { get; init; }

    /// <summary>What clients call it; <c>net0</c>, <c>net1</c> and so on by default.</summary>
    public string? Name { get; set; }

    /// <summary>A driver's name; by default the one whose manifest matches.</summary>
    public string? Driver { get; set; }

    /// <summary>Spin instead of sleeping: lowest latency for a whole core.</summary>
    public bool Poll { get; set; }

    /// <summary>Numbers of the processors that its driver runs on; empty for all that the daemon may use.</summary>
    public IReadOnlyList<int> Processors { get; set; } = [];

    /// <summary>What follows a failure of its driver; by default what the driver's manifest says.</summary>
    public RestartSettings? Restart { get; set; }

    /// <summary>The driver's own settings, passed on as texts; for the e1000 see docs/E1000_DRIVER.md.</summary>
    [JsonConverter(typeof(OptionsConverter))]
    public IReadOnlyDictionary<string, string> Options { get; set; } = new Dictionary<string, string>();

    /// <summary>Remote NICs: QEMU's -netdev without its id, such as <c>user</c>, or <c>tap,ifname=NAME,queues=2</c> of an interface that there is; by default there is no peer and frames vanish.</summary>
    public string? Netdev { get; set; }

    /// <summary>Remote disks: each the absolute path of a raw image, with <c>,read-only=on</c> if need be, or <c>null-co,size=BYTES</c> for one that reads as zeroes.</summary>
    public IReadOnlyList<string> Drives { get; set; } = [];

    /// <summary>Remote devices: QEMU properties of the device, such as <c>mac</c>.</summary>
    public IReadOnlyDictionary<string, string> Properties { get; set; } = new Dictionary<string, string>();

    /// <summary>Remote virtio-serial devices: their ports.</summary>
    public IReadOnlyList<RemotePort> Ports { get; set; } = [];
}

/// <summary>Reads the configuration without reflection; unknown keys are errors.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
    RespectNullableAnnotations = true,
    AllowDuplicateProperties = false,
    ReadCommentHandling = System.Text.Json.JsonCommentHandling.Skip,
    AllowTrailingCommas = true)]
[JsonSerializable(typeof(DaemonConfiguration))]
internal sealed partial class ConfigurationJson : JsonSerializerContext;
