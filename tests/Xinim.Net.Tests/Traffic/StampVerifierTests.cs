using Xinim.Ipc.Protocols;
using Xinim.Net.Traffic;

namespace Xinim.Net.Tests.Traffic;

public sealed class StampVerifierTests
{
    private readonly StampVerifier _verifier = new();

    [Fact]
    public void Senders_whose_frames_come_mixed_lose_nothing()
    {
        for (ulong number = 0; number < 100; number++)
        {
            for (uint run = 1; run <= NetworkRings.MaxPairs; run++) Add(run, number);
        }

        Assert.Equal(new VerificationReport(100 * NetworkRings.MaxPairs, 0, 0, 0, 0, 0), _verifier.Report());
    }

    [Fact]
    public void Loss_and_repetition_are_those_of_each_run_and_stay_when_it_makes_room()
    {
        foreach (ulong number in (ulong[])[0, 1, 3, 3]) Add(1, number);
        foreach (ulong number in (ulong[])[0, 2, 1]) Add(2, number);
        Assert.Equal(new VerificationReport(7, 0, 0, 1, 1, 1), _verifier.Report());
        for (uint run = 3; run < 100; run++) Add(run, 5);
        Assert.Equal(new VerificationReport(7 + 97, 0, 0, 1, 1, 1), _verifier.Report());
    }

    private void Add(uint run, ulong number)
    {
        byte[] frame = new byte[60];
        TestFrame.Prepare(frame, TestFrame.DefaultDestination, default, run);
        TestFrame.Stamp(frame, number);
        _verifier.Add(frame);
    }
}
