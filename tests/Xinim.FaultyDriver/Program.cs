using Xinim.Drivers.Block.Ahci;
using Xinim.Drivers.Block.Virtio;
using Xinim.Drivers.Console.Virtio;
using Xinim.Drivers.Hosting;
using Xinim.Drivers.Network.E1000;
using Xinim.Drivers.Network.Virtio;
using Xinim.FaultyDriver;

return DriverProcess.Run(new Dictionary<string, DriverEntry>
{
    ["ahci-faulty"] = DriverEntry.Controller(context => new FaultyController(context, inner => new AhciDriver(inner))),
    ["e1000-faulty"] = DriverEntry.Network(context => new FaultyNetworkDriver(context, inner => new E1000Driver(inner))),
    ["virtio-console-faulty"] = DriverEntry.Console(context => new FaultyConsoleDriver(context, inner => new VirtioConsoleDriver(inner)), VirtioConsoleDriver.Vectors),
    ["virtio-net-faulty"] = DriverEntry.Network(context => new FaultyNetworkDriver(context, inner => new VirtioNetDriver(inner)), VirtioNetDriver.Vectors),
    ["virtio-blk-faulty"] = DriverEntry.Block(context => FaultyBlockDriver.Create(context, inner => new VirtioBlkDriver(inner)), VirtioBlkDriver.Vectors),
});
