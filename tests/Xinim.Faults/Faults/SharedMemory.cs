using Xinim.Faults.Processes;
using Xinim.Faults.Targets;

namespace Xinim.Faults.Faults;

/// <summary>A shared region as the driver has it mapped.</summary>
internal static class SharedMemory
{
    public const string Work = "xinim-work";

    /// <summary>The last page of a faulty driver's work region, which no driver reaches: commands come there.</summary>
    public static ulong Mailbox(Mapping work) => work.End - Processes.ProcessMemory.PageBytes;

    /// <exception cref="IOException">The driver has none, or has ended.</exception>
    public static Mapping Find(ProcessMemory memory, string name)
    {
        Mapping found = memory.Maps.FirstOrDefault(mapping => mapping.Path.StartsWith($"/memfd:{name}", StringComparison.Ordinal));
        return found.End != 0 ? found : throw new IOException($"the driver has no {name} mapped");
    }

    /// <summary>Does something with a region of the target's driver.</summary>
    public static string With(DeviceTarget target, string name, Func<ProcessMemory, Mapping, string> inject)
    {
        using ProcessMemory memory = new(target.DriverPid);
        return inject(memory, Find(memory, name));
    }
}
