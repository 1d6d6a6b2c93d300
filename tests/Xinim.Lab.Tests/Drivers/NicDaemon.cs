namespace Xinim.Lab.Tests.Drivers;

/// <summary>One daemon with the NICs of the lab, for a whole class of tests.</summary>
public sealed class NicDaemon : IDisposable
{
    // scripts/lab.sh: 82540EM, 82545EM, 82544GC, 82574L; virtio-net: as it comes, packed, without every extra, behind a root port.
    public static readonly string[] Addresses =
    [
        "0000:00:02.0", "0000:00:03.0", "0000:00:04.0", "0000:00:05.0", "0000:00:07.0", "0000:00:0e.0", "0000:00:0f.0", "0000:03:00.0",
    ];

    private LabDaemon? _daemon;

    /// <summary>Started by the first test that runs: a fixture cannot skip.</summary>
    public LabDaemon Daemon => _daemon ??= new LabDaemon(Addresses);

    public void Dispose() => _daemon?.Dispose();
}
