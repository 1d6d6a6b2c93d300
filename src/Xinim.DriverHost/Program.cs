using Xinim.Drivers;
using Xinim.Drivers.Hosting;
using Xinim.Drivers.Network;
using Xinim.Drivers.Network.E1000;

return DriverProcess.Run(new Dictionary<string, Func<DriverContext, INetworkDriver>>
{
    ["e1000"] = context => new E1000Driver(context),
});
