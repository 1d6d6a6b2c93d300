using Microsoft.Win32.SafeHandles;
using Xinim.Ipc.Channels;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Native;
using Xinim.Ipc.Processes;
using Xinim.Ipc.Protocols;
using Xinim.Ipc.Sandboxing;

namespace Xinim.Supervisor.Tests.Native;

/// <summary>tests/Xinim.HostileDriver in a sandbox, started as the supervisor starts a driver, and what it reports of its attacks.</summary>
internal sealed class HostileProcess : IDisposable
{
    /// <summary>The user of drivers in these tests; nobody else's.</summary>
    public const uint User = 64_150;

    public static readonly ResourceLimits Limits = new(96 << 20, 640 << 20, 64, Environment.IsPrivilegedProcess ? 8 : null);
    private readonly Channel _channel;
    private readonly SafeFileHandle _device = Descriptor.CreateEvent();
    private readonly SharedRegion _vital = VitalSigns.Create();
    private readonly Sandbox _sandbox;

    /// <param name="attack">What it does, see its Program.cs.</param>
    /// <param name="own">A user and namespaces of its own; false: what holds for a daemon that is not root.</param>
    public HostileProcess(string attack, bool own)
    {
        uint? user = own ? User : null;
        Work = SharedRegion.Create("xinim-work-hostile", 8192, PageChoice.Ordinary);
        _sandbox = new Sandbox(Executable, user);
        (_channel, Channel its) = Channel.CreatePair();
        using (its) Process = ProcessLauncher.Start(new LaunchRequest { Executable = Executable, Handles = [its.Handle], User = user, Sandbox = _sandbox, Limits = Limits });
        StartMessage start = new()
        {
            DeviceHandles = 1,
            Work = new RegionMessage(0, RegionAccess.ReadWrite, 1 << 20, (ulong)Work.Size),
            Device = FixedText.From("0000:00:02.0"),
            Driver = FixedText.From(attack),
        };
        _channel.Send(new MessageHeader((uint)ControlMessage.Start, 1, 1), start, Work.Handle, _vital.Handle, _device);
    }

    /// <summary>Where scripts/test.sh puts it.</summary>
    public static string Executable => Path.GetFullPath(Path.Combine(Machine.Binaries, "..", "tests", "hostile-driver", "hostile-driver"));

    public ChildProcess Process { get; }

    public SharedRegion Work { get; }

    public string? Weakness => _sandbox.Weakness;

    /// <summary>What it says until it is done.</summary>
    public IReadOnlyList<string> Report()
    {
        List<string> lines = [];
        return Hear(lines) ? lines : throw new InvalidOperationException($"it ended ({Process.Exit}) after:\n{string.Join('\n', lines)}");
    }

    /// <summary>The same; null where it ends instead.</summary>
    public IReadOnlyList<string>? ReportOrEnd()
    {
        List<string> lines = [];
        return Hear(lines) ? lines : null;
    }

    private bool Hear(List<string> lines)
    {
        try
        {
            while (true)
            {
                using ChannelMessage message = _channel.Receive(Machine.Limit);
                if (message.Header.Type == (uint)ControlMessage.Ready) return true;
                if (message.Header.Type != (uint)ControlMessage.Hello) lines.Add(message.Text);
            }
        }
        catch (ChannelException)
        {
            Assert.True(Process.WaitForExit(Machine.Limit), $"it says nothing, and lives, after:\n{string.Join('\n', lines)}");
            return false;
        }
    }

    /// <summary>A file of the process's folder in /proc, line by line.</summary>
    public string[] Proc(string file) => File.ReadAllLines($"/proc/{Process.Pid}/{file}");

    public void Dispose()
    {
        Process.Dispose();
        _sandbox.Dispose();
        _channel.Dispose();
        _device.Dispose();
        _vital.Dispose();
        Work.Dispose();
    }
}
