using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using Xinim.Ipc.Native;
using Xinim.Ipc.Processes;

namespace Xinim.Ipc.Sandboxing;

/// <summary>
/// What an unprivileged thread can do against itself and its children (landlock(7)): no file but those named, which can be read and
/// executed; no TCP port; no signal and no abstract socket beyond the fence. As far as the kernel knows each.
/// </summary>
internal sealed class Fence : IDisposable
{
    private const int LANDLOCK_CREATE_RULESET_VERSION = 1;
    private const int LANDLOCK_RULE_PATH_BENEATH = 1;
    private const ulong ExecuteAndRead = 1 << 0 | 1 << 2;
    private readonly SafeFileHandle _rules;

    private Fence(SafeFileHandle rules) => _rules = rules;

    /// <returns>Null where the kernel has no Landlock.</returns>
    public static Fence? TryMake(IReadOnlyList<string> files)
    {
        long version = NativeMethods.Syscall(SystemCall.LandlockCreateRuleset, 0, 0, LANDLOCK_CREATE_RULESET_VERSION);
        if (version <= 0) return null;
        Fence fence = new(MakeRules(version));
        try
        {
            foreach (string file in files) fence.Allow(file);
            return fence;
        }
        catch
        {
            fence.Dispose();
            throw;
        }
    }

    public void Enter(ThreadPlan plan) => plan.Add("cannot enter the fence", SystemCall.LandlockRestrictSelf, Descriptor.Number(_rules));

    public void Dispose() => _rules.Dispose();

    // struct landlock_ruleset_attr {__u64 handled_access_fs, handled_access_net, scoped;}, as long as the version knows it.
    private static unsafe SafeFileHandle MakeRules(long version)
    {
        int fileRights = version switch { 1 => 13, 2 => 14, 3 or 4 => 15, _ => 16 };
        ulong* rights = stackalloc ulong[] { (1ul << fileRights) - 1, 3, 3 };
        int words = version switch { < 4 => 1, < 6 => 2, _ => 3 };
        return Descriptor.Own((int)NativeMethods.Syscall(SystemCall.LandlockCreateRuleset, (long)rights, words * sizeof(ulong)), "cannot make a Landlock rule set");
    }

    private unsafe void Allow(string path)
    {
        using SafeFileHandle file = File.OpenHandle(path);
        Rule rule = new() { Access = ExecuteAndRead, Parent = Descriptor.Number(file) };
        if (NativeMethods.Syscall(SystemCall.LandlockAddRule, Descriptor.Number(_rules), LANDLOCK_RULE_PATH_BENEATH, (long)&rule) != 0)
            throw LinuxException.Last($"cannot allow {path} in a Landlock rule set");
    }

    // struct landlock_path_beneath_attr
    [StructLayout(LayoutKind.Sequential, Pack = 1)]
    private struct Rule
    {
        public ulong Access;
        public int Parent;
    }
}
