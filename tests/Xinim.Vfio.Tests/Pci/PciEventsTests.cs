using Xinim.Ipc;
using Xinim.Vfio.Pci;
using Xunit;

namespace Xinim.Vfio.Tests.Pci;

/// <summary>What the kernel's messages mean.</summary>
public sealed class PciEventsTests
{
    [Fact]
    public void Reads_what_a_kernel_says_of_a_function()
    {
        PciEvent? bound = PciEvents.Parse(
            "bind@/devices/pci0000:00/0000:00:03.0\0ACTION=bind\0DEVPATH=/devices/pci0000:00/0000:00:03.0\0SUBSYSTEM=pci\0DRIVER=vfio-pci\0PCI_CLASS=20000\0"
            + "PCI_ID=8086:100E\0PCI_SUBSYS_ID=1AF4:1100\0PCI_SLOT_NAME=0000:00:03.0\0MODALIAS=pci:v00008086\0SEQNUM=1234\0");
        Assert.Equal(new PciEvent("bind", PciAddress.Parse("0000:00:03.0"), "vfio-pci"), bound);
        Assert.Equal(new PciEvent("remove", PciAddress.Parse("0000:04:00.0"), null), PciEvents.Parse("remove@/x\0ACTION=remove\0SUBSYSTEM=pci\0PCI_SLOT_NAME=0000:04:00.0\0"));
    }

    [Theory]
    [InlineData("")]
    [InlineData("add@/devices/virtual/net/lo\0ACTION=add\0SUBSYSTEM=net\0PCI_SLOT_NAME=0000:00:03.0\0")]
    [InlineData("add@/x\0ACTION=add\0SUBSYSTEM=pci\0")]
    [InlineData("add@/x\0ACTION=add\0SUBSYSTEM=pci\0PCI_SLOT_NAME=elsewhere\0")]
    [InlineData("add@/x\0SUBSYSTEM=pci\0PCI_SLOT_NAME=0000:00:03.0\0")]
    [InlineData("libudev\0\u00fe\u00ed\0\0=\0=x\0")]
    public void What_is_not_about_a_function_is_nothing(string message) => Assert.Null(PciEvents.Parse(message));

    [Fact]
    public void Nothing_has_happened_on_a_machine_at_rest()
    {
        PciEvents events;
        try
        {
            events = PciEvents.Open();
        }
        catch (LinuxException refused)
        {
            Assert.SkipWhen(true, $"this environment has no uevents: {refused.Message}");
            throw;
        }

        using (events)
        {
            List<PciEvent> found = [];
            Assert.True(events.TryRead(found));
            Assert.Empty(found);
        }
    }
}
