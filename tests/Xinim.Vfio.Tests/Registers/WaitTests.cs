using System.Diagnostics;
using Xinim.Vfio.Registers;
using Xunit;

namespace Xinim.Vfio.Tests.Registers;

/// <summary>Waits end, and blame the device only for what is its own.</summary>
public sealed class WaitTests
{
    private static readonly TimeSpan s_limit = TimeSpan.FromMilliseconds(5);

    [Fact]
    public void What_never_happens_is_a_fault_that_names_it()
        => Assert.Equal("CTRL.RST = 0 did not happen within 5 ms", Assert.Throws<DeviceFaultException>(() => Wait.Until(() => false, s_limit, "CTRL.RST = 0")).Message);

    [Theory]
    [InlineData(2)]
    [InlineData(3)]
    public void Who_lost_the_processor_over_a_look_looks_again(int needed)
    {
        int looks = 0;
        Wait.Until(
            () =>
            {
                long start = Stopwatch.GetTimestamp();
                while (looks == 0 && Stopwatch.GetElapsedTime(start) < 4 * s_limit) Thread.SpinWait(20);
                return ++looks == needed;
            },
            s_limit,
            "EERD.DONE");
        Assert.Equal(needed, looks);
    }
}
