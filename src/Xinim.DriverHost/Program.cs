using Xinim.Drivers.Hosting;
using Xinim.Drivers.Network.E1000;

return DriverProcess.Run(new Dictionary<string, DriverEntry>
{
    ["e1000"] = DriverEntry.Network(context => new E1000Driver(context)),
});
