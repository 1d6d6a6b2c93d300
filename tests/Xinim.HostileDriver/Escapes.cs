using Xinim.HostileDriver.Native;
using Xinim.Ipc.Native;

namespace Xinim.HostileDriver;

/// <summary>
/// Ways out, each tried once and reported as "ESCAPE name: errno N" or "ESCAPE name: succeeded". Arguments are such that the call would succeed, or fail
/// otherwise than it must, if nothing stood in its way.
/// </summary>
internal static class Escapes
{
    private const int AT_FDCWD = -100;
    private const int O_RDWR = 2, O_CREAT = 0x40;
    private const int SIGCHLD = 17, SpawnFlags = 0x4111, CLONE_NEWUSER = 0x1000_0000;
    private const int RLIMIT_NOFILE = 7;

    public static void TryAll(Victim victim)
    {
        foreach ((string name, Func<long> attempt) in Files().Concat(Processes()).Concat(Memory(victim)).Concat(Kernel(victim)))
        {
            long result = attempt();
            victim.Say(result < 0 ? $"ESCAPE {name}: errno {-result}" : $"ESCAPE {name}: succeeded");
        }
    }

    private static IEnumerable<(string, Func<long>)> Files()
    {
        yield return ("open /etc/passwd", () => Open("/etc/passwd", 0));
        yield return ("open /proc/self/mem", () => Open("/proc/self/mem", O_RDWR));
        yield return ("open /proc/1/mem", () => Open("/proc/1/mem", O_RDWR));
        yield return ("open /dev/vfio/vfio", () => Open("/dev/vfio/vfio", O_RDWR));
        yield return ("open /dev/mem", () => Open("/dev/mem", O_RDWR));
        yield return ("open /sys/kernel", () => Open("/sys/kernel", 0));
        yield return ("open ../../../etc/shadow", () => Open("../../../../../../../../etc/shadow", 0));
        yield return ("write its own program", () => Open("/lib64/ld-linux-x86-64.so.2", O_RDWR));
        yield return ("create a file", () => Open("/tmp-by-hostile-driver", O_RDWR | O_CREAT));
        yield return ("make a folder", () => Raw.Call(258, "/folder-by-hostile-driver", path => [AT_FDCWD, path, 0x1ff]));
        yield return ("remove a file", () => Raw.Call(263, "/lib64/ld-linux-x86-64.so.2", path => [AT_FDCWD, path]));
        yield return ("change root", () => Raw.Call(161, "/", path => [path]));
        yield return ("mount", () => Raw.Call(165, "/", path => [path, path, 0, 0x1000]));
    }

    private static IEnumerable<(string, Func<long>)> Processes()
    {
        yield return ("unix socket", () => Raw.Call(41, 1, 1));
        yield return ("internet socket", () => Raw.Call(41, 2, 2));
        yield return ("netlink socket", () => Raw.Call(41, 16, 3));
        yield return ("socket pair", () => Raw.Call(53, 1, 1, 0, Environment.TickCount64));
        yield return ("fork", () => Forked(Raw.Call(56, SIGCHLD)));
        yield return ("old fork", () => Forked(Raw.Call(57)));
        yield return ("vfork as a launcher does", () => Forked(Raw.Call(56, SpawnFlags)));
        yield return ("clone3", () => Forked(Raw.Call(435, 0, 0)));
        yield return ("execute its own program", () => Raw.Call(59, Environment.ProcessPath ?? "/lib64/ld-linux-x86-64.so.2", path => [path, 0, 0]));
        yield return ("execute by descriptor", () => Raw.Call(322, "", path => [3, path, 0, 0, 0x1000]));
        yield return ("new user namespace", () => Raw.Call(272, CLONE_NEWUSER));
        yield return ("clone into a user namespace", () => Forked(Raw.Call(56, CLONE_NEWUSER | SIGCHLD)));
        yield return ("enter a namespace", () => Raw.Call(308, 3, 0));
        yield return ("trace", () => Raw.Call(101, 0));
        yield return ("read another's memory", () => Raw.Call(310, Environment.ProcessId, 0, 0, 0, 0));
        yield return ("write another's memory", () => Raw.Call(311, Environment.ProcessId, 0, 0, 0, 0));
        yield return ("signal a process", () => Raw.Call(62, Environment.ProcessId, 0));
        yield return ("signal a thread of another", () => Raw.Call(234, Environment.ProcessId + 1, Environment.ProcessId + 1, 9));
        yield return ("queue a signal", () => Raw.Call(129, Environment.ProcessId, 0, 0));
        yield return ("open a process", () => Raw.Call(434, Environment.ProcessId, 0));
        yield return ("become root", () => Raw.Call(117, 0, 0, 0));
        yield return ("lift its limits", () => LiftLimit());
        yield return ("higher priority", () => Raw.Call(141, 0, 0, -20));
        yield return ("real-time scheduling", () => Raw.Call(144, 0, 1, Environment.TickCount64));
        yield return ("run on other processors", () => Raw.Call(203, 0, 8, Environment.TickCount64));
    }

    private static IEnumerable<(string, Func<long>)> Memory(Victim victim)
    {
        int work = Descriptor.Number(victim.Work.Handle);
        yield return ("map regions that it was not given", () => MapStrangers(work, Descriptor.Number(victim.Device), Descriptor.Number(victim.Vital.Handle)));
        yield return ("grow a shared region", () => Raw.Call(77, work, victim.Work.Size * 2));
        yield return ("shrink a shared region", () => Raw.Call(77, work, 0));
        // FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE: seals against resizing do not stop it.
        yield return ("punch a hole into a shared region", () => Raw.Call(285, work, 3, 0, victim.Work.Size));
        // MADV_REMOVE does the same through the mapping.
        yield return ("take pages from a shared region", () => Raw.Call(28, (long)victim.Work.Address, victim.Work.Size, 9));
        yield return ("seal a shared region", () => Raw.Call(72, work, 1033, 8));
        yield return ("lock memory", () => Raw.Call(149, (long)victim.Work.Address, 4096));
        yield return ("new shared file", () => Raw.Call(319, "hostile", name => [name, 0]));
        yield return ("anonymous shared memory", () => Raw.Call(9, 0, 4096, 3, 0x21, -1, 0));
        yield return ("System V shared memory", () => Raw.Call(29, 0, 4096, 0x3ff));
        yield return ("message queue", () => Raw.Call(240, "hostile", name => [name, 0x42, 0x1ff, 0]));
        yield return ("user page faults", () => Raw.Call(323, 0));
    }

    private static IEnumerable<(string, Func<long>)> Kernel(Victim victim)
    {
        int device = Descriptor.Number(victim.Device);
        yield return ("io_uring", () => Raw.Call(425, 1, Environment.TickCount64));
        yield return ("bpf", () => Raw.Call(321, 0, 0, 0));
        yield return ("perf_event_open", () => Raw.Call(298, 0, 0, -1, -1, 0));
        yield return ("keyring", () => Raw.Call(250, 0, -3, 0));
        yield return ("kernel log", () => Raw.Call(103, 10, 0, 0));
        yield return ("set the clock", () => Raw.Call(227, 0, Environment.TickCount64));
        yield return ("I/O ports", () => Raw.Call(172, 3));
        yield return ("personality", () => Raw.Call(135, 0xffff_ffff));
        yield return ("watch files", () => Raw.Call(294, 0));
        yield return ("type into a terminal", () => Raw.Call(16, 0, 0x5412, Environment.TickCount64));
        yield return ("VFIO_IOMMU_MAP_DMA", () => Raw.Call(16, device, 0x3b71, Environment.TickCount64));
        yield return ("VFIO_DEVICE_GET_PCI_HOT_RESET_INFO", () => Raw.Call(16, device, 0x3b70, Environment.TickCount64));
        yield return ("VFIO_GROUP_SET_CONTAINER", () => Raw.Call(16, device, 0x3b68, Environment.TickCount64));
        yield return ("own filter's rules", () => Raw.Call(317, 2, 0, 0));
    }

    private static long Open(string path, int flags) => Raw.Call(257, path, name => [AT_FDCWD, name, flags, 0x1ff]);

    /// <summary>A child that should not be ends at once.</summary>
    private static long Forked(long result) => result == 0 ? Raw.Call(231, 0) : result;

    private static unsafe long LiftLimit()
    {
        ulong* unlimited = stackalloc ulong[] { ulong.MaxValue, ulong.MaxValue };
        return Raw.Call(302, 0, RLIMIT_NOFILE, (long)unlimited, 0);
    }

    /// <summary>Every number that could be a descriptor, but for its own region's and its device's.</summary>
    private static long MapStrangers(params int[] own)
    {
        for (int number = 0; number < 4096; number++)
        {
            if (!own.Contains(number) && Raw.Call(9, 0, 4096, 3, 1, number, 0) > 0) return number;
        }

        return -9;
    }
}
