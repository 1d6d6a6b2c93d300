namespace Xinim.Host.Daemon;

/// <summary>What was said on the command line.</summary>
/// <param name="ConfigurationFile">Null: defaults.</param>
/// <param name="DriverFolder">Where the manifests are.</param>
/// <param name="Socket">Overrides the configuration's.</param>
/// <param name="AllowUnsafeDma">Start devices that no IOMMU stands before.</param>
/// <param name="JsonLog">One JSON object a line.</param>
internal sealed record DaemonOptions(string? ConfigurationFile, string DriverFolder, string? Socket, bool AllowUnsafeDma, bool JsonLog);
