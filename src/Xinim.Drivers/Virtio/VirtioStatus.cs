namespace Xinim.Drivers.Virtio;

/// <summary>Device status [V §2.1], in the order in which a driver sets the bits.</summary>
[Flags]
public enum VirtioStatus : byte
{
    None = 0,
    Acknowledge = 1,
    Driver = 2,
    DriverOk = 4,
    FeaturesOk = 8,
    NeedsReset = 64,
    Failed = 128,
}
