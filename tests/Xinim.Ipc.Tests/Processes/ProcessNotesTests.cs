using System.Globalization;
using Xinim.Ipc.Processes;
using Xunit;

namespace Xinim.Ipc.Tests.Processes;

/// <summary>Processes that outlive their launcher are found again, and nobody else's.</summary>
public sealed class ProcessNotesTests : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("xinim-notes-");

    private string Notes => Path.Combine(_folder.FullName, "notes");

    public void Dispose() => _folder.Delete(recursive: true);

    [Fact]
    public void A_process_is_noted_until_it_is_reaped()
    {
        using ChildProcess child = Sleep();
        Assert.Equal(child.Pid.ToString(CultureInfo.InvariantCulture), Path.GetFileName(Assert.Single(Directory.GetFiles(Notes))));
        child.Kill();
        Assert.Empty(Directory.GetFiles(Notes));
    }

    [Fact]
    public void What_runs_is_ended()
    {
        using ChildProcess child = Sleep();
        Assert.Equal([child.Pid], ProcessNotes.EndAll(Notes));
        Assert.True(child.WaitForExit(TimeSpan.FromSeconds(10)));
        Assert.Equal(9, child.Exit!.Value.Signal);
        Assert.Empty(Directory.GetFiles(Notes));
    }

    [Fact]
    public void A_number_that_is_another_process_s_by_now_is_left_alone()
    {
        using ChildProcess child = Sleep();
        string note = Assert.Single(Directory.GetFiles(Notes));
        File.WriteAllText(note, "12345");
        Assert.Empty(ProcessNotes.EndAll(Notes));
        Assert.False(child.TryReap());
        Assert.Empty(Directory.GetFiles(Notes));
    }

    [Fact]
    public void Ended_ones_and_other_files_are_no_obstacle()
    {
        Directory.CreateDirectory(Notes);
        File.WriteAllText(Path.Combine(Notes, "2147483646"), "1");
        File.WriteAllText(Path.Combine(Notes, "readme"), "1");
        Assert.Empty(ProcessNotes.EndAll(Notes));
        Assert.Empty(ProcessNotes.EndAll(Path.Combine(_folder.FullName, "nowhere")));
    }

    private ChildProcess Sleep() => ProcessLauncher.Start(new LaunchRequest { Executable = "/bin/sleep", Arguments = ["600"], Notes = Notes });
}
