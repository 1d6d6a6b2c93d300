using Xinim.Ipc.Channels;

namespace Xinim.Supervisor.Devices;

/// <summary>The slot of a device whose units have one client each at a time. Most devices are one unit; a controller has one for each port.</summary>
internal abstract class UnitsSlot(ManagedDevice device, IReadOnlyList<string> counters) : DeviceSlot(device, counters)
{
    public sealed override string? Occupants
        => string.Join("; ", Units.Where(unit => unit.Holder is not null).Select(unit => unit.Label(unit.Holder!.Description))) is { Length: > 0 } all ? all : null;

    public sealed override IReadOnlyList<ClientPool> Pools => [.. Units.SelectMany(unit => unit.Memory?.Pools ?? [])];

    /// <summary>In the order of their numbers; none before the first driver has told of them.</summary>
    protected abstract IReadOnlyList<ClientSlot> Units { get; }

    public override void Release(IDeviceClient client)
    {
        foreach (ClientSlot unit in Units) unit.Release(client);
    }

    public sealed override int UnitOf(IDeviceClient client)
    {
        for (int unit = 0; unit < Units.Count; unit++)
        {
            if (Units[unit].Holder == client) return unit;
        }

        return 0;
    }

    public sealed override void Dispose()
    {
        foreach (ClientSlot unit in Units) unit.Dispose();
    }

    internal override void OnReady()
    {
        Counters.Carry();
        foreach (ClientSlot unit in Units) unit.OnReady();
    }

    internal sealed override bool BreaksAgain(uint unit, TimeSpan memory) => UnitAt(unit).BreaksAgain(memory);

    internal sealed override void OnDropped(uint unit, string reason) => UnitAt(unit).OnDropped(reason);

    internal sealed override void StopIntake()
    {
        foreach (ClientSlot unit in Units) unit.StopIntake();
    }

    internal sealed override void OnQuiet()
    {
        foreach (ClientSlot unit in Units) unit.OnQuiet();
        Counters.AnswerCurious();
    }

    internal override void CloseForGood(string reason)
    {
        foreach (ClientSlot unit in Units) unit.CloseForGood(reason);
    }

    /// <summary>What the driver calls by its number.</summary>
    /// <exception cref="ChannelException">There is none.</exception>
    private ClientSlot UnitAt(uint unit) => unit < (uint)Units.Count ? Units[(int)unit] : throw new ChannelException($"a word about unit {unit} of {Units.Count}");
}
