using Xinim.Faults.Campaigns;
using Xinim.Faults.Model;
using Xinim.Faults.Targets;
using Xinim.Faults.Traffic;
using Xinim.Net.Traffic;
using Xinim.TestKit.E1000;
using Xinim.TestKit.Fakes;

namespace Xinim.Faults.Tests;

/// <summary>Campaigns on device models: the driver withstands them, they can be repeated, and a defect in the driver would show.</summary>
public sealed class ModelCampaignTests
{
    public static TheoryData<string> Devices => ["e1000", "virtio-net", "virtio-blk", "virtio-console", "ahci"];

    [Theory]
    [MemberData(nameof(Devices))]
    public void A_driver_withstands_every_kind(string device)
    {
        ModelSet models = ModelSet.Of(DeviceKind.Of(device));
        foreach (ModelFault fault in models.Faults)
        {
            // Those that a driver waits over are rare.
            int count = fault.Weight < ModelFault.Usual ? 4 : 20;
            (Ledger ledger, Report report) = Run(fault, count, models);
            Assert.True(ledger.BreachCount == 0, string.Join('\n', ledger.Breaches));
            Assert.Equal(count, report.Faults);
        }
    }

    [Theory]
    [MemberData(nameof(Devices))]
    public void Without_a_fault_everything_goes_on(string device)
    {
        (Ledger ledger, Report report) = Run(new ModelFault("quiet", (_, _) => { }), 40, ModelSet.Of(DeviceKind.Of(device)));
        Assert.Equal((0, 40, 40), (ledger.BreachCount, report.Faults, report.Count(Effect.None)));
    }

    [Theory]
    [MemberData(nameof(Devices))]
    public void The_same_seed_gives_the_same_effects(string device) => Assert.Equal(Effects(7, device), Effects(7, device));

    [Fact]
    public void Another_exception_than_a_device_fault_is_a_breach()
        => Assert.Equal(3, Run(new ModelFault("planted", (_, _) => throw new InvalidOperationException("planted")), 3).Ledger.BreachCount);

    [Fact]
    public void A_device_without_models_is_refused()
        => Assert.Contains("of unheard;", Assert.Throws<CampaignException>(() => ModelSet.Of(DeviceKind.E1000 with { Driver = "unheard" })).Message, StringComparison.Ordinal);

    [Fact]
    public void A_frame_that_is_wrong_and_would_be_believed_is_a_breach()
    {
        (Ledger ledger, _) = Run(ModelFault.Of<ModelBench>("planted", (bench, _) => Forge(bench)), 3);
        Assert.Contains("right checksum and wrong bytes", Assert.IsType<string>(ledger.Breaches[0]), StringComparison.Ordinal);
    }

    [Fact]
    public void A_buffer_that_the_driver_does_not_hold_is_a_breach()
    {
        (Ledger ledger, _) = Run(ModelFault.Of<ModelBench>("planted", (bench, _) => bench.Forget()), 1);
        Assert.Contains("does not hold", Assert.Single(ledger.Breaches), StringComparison.Ordinal);
    }

    [Fact]
    public void A_driver_that_blames_a_good_device_is_a_breach()
    {
        int made = 0;
        Ledger ledger = new();
        Report report = new(null);
        ModelSet models = ModelSet.E1000 with
        {
            Make = (kind, run) =>
            {
                ModelBench bench = (ModelBench)ModelSet.E1000.Make(kind, run);
                if (++made == 10) bench.Model.Misbehaviour = E1000Misbehaviour.Removed;
                return bench;
            },
        };
        using ModelCampaign campaign = new(new CampaignOptions { Count = 40, Seed = 3, FaultsPerDriver = 1 }, models, [new ModelFault("quiet", (_, _) => { })], ledger, report);
        campaign.Run(0, () => { });
        Assert.Contains("blames a good device", Assert.Single(ledger.Breaches), StringComparison.Ordinal);
        Assert.Equal((40, 1), (report.Faults, report.Count(Effect.Unrecovered)));
    }

    [Fact]
    public void Campaigns_beside_each_other_have_one_sum()
    {
        using MemoryStream memory = new();
        using StreamWriter log = new(memory);
        Ledger ledger = new();
        Report report = new(log);
        CampaignOptions options = new() { Count = 50, Seed = 5, FaultsPerDriver = 1 };
        ModelFault[] faults = [new("quiet", (_, _) => { }), new("planted", (_, _) => throw new InvalidOperationException("planted"))];
        (StreamCounts tx, StreamCounts rx) = ModelJobs.Run(3, options, ModelSet.E1000, faults, ledger, report, 100, () => { });

        log.Flush();
        string[][] lines = [.. System.Text.Encoding.UTF8.GetString(memory.ToArray()).TrimEnd().Split('\n').Select(line => line.Split('\t'))];
        Assert.Equal(Enumerable.Range(100, 50), lines.Select(line => int.Parse(line[0], System.Globalization.CultureInfo.InvariantCulture)).Order());
        int planted = lines.Count(line => line[2] == "planted");
        Assert.Equal((50, planted, planted), (report.Faults, (int)report.Failures, (int)report.Count(Effect.Signal)));
        Assert.Equal(planted, ledger.BreachCount);
        Assert.NotEqual(0, planted);

        using ModelCampaign alone = new(options, ModelSet.E1000, faults, new Ledger(), new Report(null));
        alone.Run(100, () => { });
        Assert.Equal((alone.Tx, alone.Rx), (tx, rx));
    }

    /// <summary>Rewrites every frame in packet memory, checksum and all.</summary>
    private static void Forge(ModelBench bench)
    {
        for (int at = (int)FakeNetworkClient.OffsetOf(0); at < bench.ReceivePool.Length; at += FakeNetworkClient.Stride)
        {
            for (ulong number = bench.Rx.Sent; number-- > 0;)
            {
                Span<byte> frame = bench.ReceivePool.Slice(at, FrameStream.SizeOf(number));
                if (TestFrame.Read(frame, out _, out ulong sequence) != TestFrameKind.Stamped || sequence != number) continue;
                frame[^1] ^= 1;
                TestFrame.Stamp(frame, number);
                break;
            }
        }
    }

    private static List<string> Effects(int seed, string device)
    {
        ModelSet models = ModelSet.Of(DeviceKind.Of(device));
        List<string> effects = [];
        using MemoryStream memory = new();
        using (StreamWriter log = new(memory, leaveOpen: true))
        {
            Report report = new(log);
            using ModelCampaign campaign = new(new CampaignOptions { Count = 300, Seed = seed }, models, [.. models.Faults.Where(fault => !fault.AtStart)], new Ledger(), report);
            campaign.Run(0, () => { });
        }

        memory.Position = 0;
        using StreamReader lines = new(memory);
        while (lines.ReadLine() is { } line) effects.Add(string.Join(' ', line.Split('\t').Take(5)));
        return effects;
    }

    private static (Ledger Ledger, Report Report) Run(ModelFault fault, long count, ModelSet? models = null)
    {
        Ledger ledger = new();
        Report report = new(null);
        using ModelCampaign campaign = new(new CampaignOptions { Count = count, Seed = 3 }, models ?? ModelSet.E1000, [fault], ledger, report);
        campaign.Run(0, () => { });
        return (ledger, report);
    }
}
