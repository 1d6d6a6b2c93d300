using Xinim.Faults.Targets;
using Xinim.TestKit.E1000;

namespace Xinim.Faults.Model;

/// <summary>Device models that a campaign is run on, and their faults.</summary>
/// <param name="Names">Of the models.</param>
/// <param name="Make">Makes the i-th with a driver that has not started; the second value distinguishes benches.</param>
internal sealed record ModelSet(IReadOnlyList<string> Names, Func<int, uint, IModelBench> Make, IReadOnlyList<ModelFault> Faults)
{
    public static ModelSet E1000 { get; } = new(Enum.GetNames<E1000ModelKind>(), (kind, run) => new ModelBench(Enum.GetValues<E1000ModelKind>()[kind], run), E1000Faults.All);

    public static ModelSet VirtioNet { get; } = new(
        [.. VirtioNetModelBench.Layouts.Select(layout => $"net {layout.Name}")], (kind, run) => new VirtioNetModelBench(VirtioNetModelBench.Layouts[kind].Features, run), [.. VirtioFaults.All, .. VirtioFaults.Net]);

    public static ModelSet VirtioBlk { get; } = new(
        [.. VirtioBlkModelBench.Layouts.Select(layout => $"blk {layout.Name}")], (kind, _) => new VirtioBlkModelBench(VirtioBlkModelBench.Layouts[kind].Features), [.. VirtioFaults.All, .. VirtioFaults.Blk]);

    public static ModelSet VirtioConsole { get; } = new(
        [.. VirtioConsoleModelBench.Layouts.Select(layout => $"console {layout.Name}")],
        (kind, run) => new VirtioConsoleModelBench(VirtioConsoleModelBench.Layouts[kind].Features, run),
        [.. VirtioFaults.Lies, .. VirtioFaults.Lapses.Select(fault => fault with { MayLie = false }), .. ConsoleFaults.All]);

    public static ModelSet Ahci { get; } = new(
        [.. AhciModelBench.Layouts.Select(layout => layout.Name)], (kind, _) => new AhciModelBench(AhciModelBench.Layouts[kind].Slots, AhciModelBench.Layouts[kind].Options), AhciFaults.All);

    /// <summary>Those of a device.</summary>
    /// <exception cref="CampaignException">There are none.</exception>
    public static ModelSet Of(DeviceKind kind) => kind.Driver switch
    {
        "ahci" => Ahci,
        "virtio-net" => VirtioNet,
        "virtio-blk" => VirtioBlk,
        "virtio-console" => VirtioConsole,
        "e1000" => E1000,
        _ => throw new CampaignException($"--target model: there are no device models of {kind.Driver}; run it with --target remote or vfio"),
    };
}
