using Xinim.Supervisor.Policy;

namespace Xinim.Supervisor.Tests.Policy;

/// <summary>The arithmetic of restarts.</summary>
public sealed class RestartPolicyTests
{
    private static readonly TimeSpan s_short = TimeSpan.FromMilliseconds(4_999);

    [Fact]
    public void The_first_restart_is_immediate_and_pauses_double_up_to_the_limit()
    {
        RestartPolicy policy = new(new RestartSettings { GiveUpAfter = 0 });
        double[] pauses = [.. Enumerable.Range(0, 12).Select(_ => policy.OnFailure(s_short)!.Value.TotalMilliseconds)];
        Assert.Equal([0, 100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000], pauses);
    }

    [Fact]
    public void Thousands_of_failures_do_not_overflow_the_pause()
    {
        RestartPolicy policy = new(new RestartSettings { GiveUpAfter = 0 });
        for (int failure = 0; failure < 5_000; failure++) policy.OnFailure(null);
        Assert.Equal(TimeSpan.FromSeconds(30), policy.OnFailure(null));
    }

    [Fact]
    public void A_life_that_served_for_the_quiet_period_makes_failures_forgotten()
    {
        RestartPolicy policy = new(new RestartSettings());
        policy.OnFailure(null);
        Assert.NotEqual(TimeSpan.Zero, policy.OnFailure(s_short));
        Assert.Equal(TimeSpan.Zero, policy.OnFailure(TimeSpan.FromSeconds(5)));
    }

    [Fact]
    public void Too_many_failures_in_a_row_end_it_until_an_operator_says_otherwise()
    {
        RestartPolicy policy = new(new RestartSettings { GiveUpAfter = 3 });
        for (int failure = 0; failure < 3; failure++) Assert.NotNull(policy.OnFailure(null));
        Assert.Null(policy.OnFailure(null));
        policy.Forget();
        Assert.Equal(TimeSpan.Zero, policy.OnFailure(null));
    }

    [Theory]
    [InlineData(-1, 30_000, 0, 0, null, "'firstPause' is -1; allowed: 0 to 600000 milliseconds")]
    [InlineData(100, 99, 0, 0, null, "'maxPause' is 99; allowed: 'firstPause' to 600000 milliseconds")]
    [InlineData(100, 200, -5, 0, null, "'quietPeriod' is -5; allowed: 0 to 86400000 milliseconds")]
    [InlineData(100, 200, 0, -1, null, "'giveUpAfter' is -1; allowed: 0 (never) to 1000000 failures")]
    [InlineData(100, 200, 0, 0, "ask.sh", "'script' is 'ask.sh'; it is an absolute path")]
    public void Wrong_settings_are_named(int first, int most, int quiet, int giveUp, string? script, string problem)
        => Assert.Equal(problem, new RestartSettings { FirstPause = first, MaxPause = most, QuietPeriod = quiet, GiveUpAfter = giveUp, Script = script }.Problem());
}
