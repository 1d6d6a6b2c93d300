namespace Xinim.Lab.Tests.Drivers;

/// <summary>One daemon with the four NICs of the e1000 family, for a whole class of tests.</summary>
public sealed class FamilyDaemon : IDisposable
{
    // scripts/lab.sh: 82540EM, 82545EM, 82544GC, 82574L.
    public static readonly string[] Addresses = ["0000:00:02.0", "0000:00:03.0", "0000:00:04.0", "0000:00:05.0"];
    private LabDaemon? _daemon;

    /// <summary>Started by the first test that runs: a fixture cannot skip.</summary>
    public LabDaemon Daemon => _daemon ??= new LabDaemon(Addresses);

    public void Dispose() => _daemon?.Dispose();
}
