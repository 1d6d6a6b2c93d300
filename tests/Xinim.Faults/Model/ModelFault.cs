namespace Xinim.Faults.Model;

/// <summary>A kind of fault of a device model.</summary>
/// <param name="Kind">Its name.</param>
/// <param name="Inject">Into a bench where something has arrived that the driver has not looked at.</param>
/// <param name="Weight">How often it is chosen beside the others: some make the driver wait for half a second or more.</param>
/// <param name="AtStart">The fault is there before a driver brings the device up.</param>
/// <param name="MayLie">The device may say what is not so: else nothing may be damaged, missing or there twice.</param>
internal sealed record ModelFault(string Kind, Action<IModelBench, Random> Inject, int Weight = ModelFault.Usual, bool AtStart = false, bool MayLie = true)
{
    public const int Usual = 40;

    /// <summary>One of a kind of bench.</summary>
    public static ModelFault Of<TBench>(string kind, Action<TBench, Random> inject)
        where TBench : IModelBench
        => new(kind, (bench, random) => inject((TBench)bench, random));

    /// <inheritdoc cref="Of"/>
    public static ModelFault AtStartOf<TBench>(string kind, Action<TBench, Random> inject)
        where TBench : IModelBench
        => new(kind, (bench, random) => inject((TBench)bench, random), 1, AtStart: true);
}
