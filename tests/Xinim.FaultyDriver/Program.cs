using Xinim.Drivers.Hosting;
using Xinim.FaultyDriver;

return DriverProcess.Run(new Dictionary<string, DriverEntry>
{
    [FaultyNetworkDriver.Name] = DriverEntry.Network(FaultyNetworkDriver.Make),
});
