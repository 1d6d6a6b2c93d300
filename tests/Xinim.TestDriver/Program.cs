using Xinim.Drivers.Hosting;
using Xinim.TestKit.Block;

// A process for the drivers of TestKit's devices, as the product's drivers have theirs.
return DriverProcess.Run(new Dictionary<string, DriverEntry>
{
    [TestController.Name] = DriverEntry.Controller(context => new TestController(context)),
});
