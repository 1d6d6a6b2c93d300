using Xinim.Benchmarks.Isolation;
using Xunit;

namespace Xinim.Benchmarks.Tests.Isolation;

public sealed class HopTests
{
    private const ulong Frames = 5000;

    [Theory]
    [InlineData(false, 1, false)]
    [InlineData(false, 32, false)]
    [InlineData(false, 1, true)]
    [InlineData(true, 1, false)]
    [InlineData(true, 32, false)]
    [InlineData(true, 1, true)]
    public void Each_frame_arrives_once_and_in_order(bool isolated, int batch, bool pingPong)
    {
        using HopSession session = new(processor: -1);
        HopResult result = Assert.Single(session.Run(new HopMode(isolated, (uint)batch, pingPong, Check: true), TimeSpan.Zero, Frames, measurements: 1));
        Assert.True(result.Sent >= Frames);
        Assert.Equal(result.Sent, result.Seen.InOrder);
        Assert.Equal(result.Sent, result.Seen.Frames);
    }

    /// <summary>The driver's end changes hands on the same rings.</summary>
    [Fact]
    public void Both_processes_serve_one_port_in_turns()
    {
        using HopSession session = new(processor: -1);
        foreach (bool isolated in new[] { false, true, false, true })
        {
            foreach (HopResult result in session.Run(new HopMode(isolated, 32, Check: true), TimeSpan.Zero, Frames, measurements: 3))
            {
                Assert.Equal(result.Sent, result.Seen.InOrder);
                Assert.Equal(isolated, result.Seen.Process != Environment.ProcessId);
            }
        }
    }
}
