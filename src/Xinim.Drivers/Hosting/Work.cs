namespace Xinim.Drivers.Hosting;

/// <summary>What a pass over rings found, by who caused it; of several, the highest counts.</summary>
internal enum Work
{
    None,
    Device,
    Client,
}
