using Xinim.Drivers;
using Xinim.Drivers.Hosting;
using Xinim.Drivers.Network;

return DriverProcess.Run(new Dictionary<string, Func<DriverContext, INetworkDriver>>());
