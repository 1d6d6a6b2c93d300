using Xinim.Drivers.Block;
using Xinim.Drivers.Console;
using Xinim.Drivers.Network;
using Xinim.Ipc.Channels;
using Xinim.Ipc.Protocols;
using Xinim.Vfio;
using Xinim.Vfio.Dma;

namespace Xinim.Drivers.Hosting;

/// <summary>One driver of an executable: how it is made, and the loop of its class that runs it.</summary>
public sealed class DriverEntry
{
    private readonly Func<DriverContext, LoopSetup, IDriverLoop> _make;

    private DriverEntry(int vectors, Func<DriverContext, LoopSetup, IDriverLoop> make)
    {
        Vectors = vectors;
        _make = make;
    }

    /// <summary>Interrupt vectors that it can use; it gets fewer where the device has fewer.</summary>
    internal int Vectors { get; }

    /// <summary>A NIC's driver.</summary>
    public static DriverEntry Network(Func<DriverContext, INetworkDriver> make, int vectors = 1) =>
        new(vectors, (context, setup) => new NetworkLoop(setup, make(context)));

    /// <summary>A disk's driver.</summary>
    public static DriverEntry Block(Func<DriverContext, IBlockDriver> make, int vectors = 1) =>
        new(vectors, (context, setup) => new BlockLoop(setup, make(context)));

    /// <summary>The driver of a controller with disks on its ports.</summary>
    public static DriverEntry Controller(Func<DriverContext, IBlockController> make, int vectors = 1) =>
        new(vectors, (context, setup) => new BlockLoop(setup, make(context)));

    /// <summary>A console device's driver.</summary>
    public static DriverEntry Console(Func<DriverContext, IConsoleDriver> make, int vectors = 1) =>
        new(vectors, (context, setup) => new ConsoleLoop(setup, make(context)));

    internal IDriverLoop MakeLoop(DriverContext context, LoopSetup setup) => _make(context, setup);
}

/// <summary>What every loop is given.</summary>
/// <param name="Channel">To the supervisor.</param>
/// <param name="Generation">The driver's life.</param>
/// <param name="Interrupts">To wait for.</param>
/// <param name="Work">The driver's own region.</param>
/// <param name="Heart">Beaten by the loop.</param>
/// <param name="Spin">Poll instead of sleeping.</param>
/// <param name="Filters">For a NIC: what it starts with.</param>
internal sealed record LoopSetup(Channel Channel, uint Generation, IDeviceInterrupts Interrupts, DmaRegion Work, Heart Heart, bool Spin, NetworkFilters Filters = default);

/// <summary>The main loop of a driver process. Owns the driver.</summary>
internal interface IDriverLoop : IDisposable
{
    /// <summary>Brings the device up, says Ready and serves until Stop or until the supervisor is gone.</summary>
    /// <param name="startRequest">The request that Ready answers.</param>
    void Run(uint startRequest);
}
