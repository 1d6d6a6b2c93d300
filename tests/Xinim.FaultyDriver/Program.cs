using Xinim.Drivers;
using Xinim.Drivers.Hosting;
using Xinim.Drivers.Network;
using Xinim.FaultyDriver;

return DriverProcess.Run(new Dictionary<string, Func<DriverContext, INetworkDriver>>
{
    [FaultyNetworkDriver.Name] = FaultyNetworkDriver.Make,
});
