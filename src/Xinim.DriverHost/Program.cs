using Xinim.Drivers.Block.Ahci;
using Xinim.Drivers.Block.Virtio;
using Xinim.Drivers.Console.Virtio;
using Xinim.Drivers.Hosting;
using Xinim.Drivers.Network.E1000;
using Xinim.Drivers.Network.Virtio;

return DriverProcess.Run(new Dictionary<string, DriverEntry>
{
    ["ahci"] = DriverEntry.Controller(context => new AhciDriver(context)),
    ["e1000"] = DriverEntry.Network(context => new E1000Driver(context)),
    ["virtio-blk"] = DriverEntry.Block(context => new VirtioBlkDriver(context), VirtioBlkDriver.Vectors),
    ["virtio-net"] = DriverEntry.Network(context => new VirtioNetDriver(context), VirtioNetDriver.Vectors),
    ["virtio-console"] = DriverEntry.Console(context => new VirtioConsoleDriver(context), VirtioConsoleDriver.Vectors),
});
