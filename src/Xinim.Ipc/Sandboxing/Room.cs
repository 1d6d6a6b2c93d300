using System.Runtime.ExceptionServices;
using System.Text;
using Microsoft.Win32.SafeHandles;
using Xinim.Ipc.Native;
using Xinim.Ipc.Processes;

namespace Xinim.Ipc.Sandboxing;

/// <summary>
/// Namespaces with nothing in them but a few files, read-only (namespaces(7), pivot_root(2)). Made once on a thread that ends afterwards: the
/// descriptors keep them. Only the PID namespace is new for each process, which is number 1 in it.
/// </summary>
internal sealed unsafe class Room : IDisposable
{
    // linux/sched.h
    private const int CLONE_FS = 0x0000_0200;
    private const int CLONE_NEWNS = 0x0002_0000;
    private const int CLONE_NEWUTS = 0x0400_0000;
    private const int CLONE_NEWIPC = 0x0800_0000;
    private const int CLONE_NEWPID = 0x2000_0000;
    private const int CLONE_NEWNET = 0x4000_0000;

    // linux/mount.h
    private const int MS_REC = 0x4000;
    private const int MS_PRIVATE = 1 << 18;
    private const int MNT_DETACH = 2;
    private const int AT_FDCWD = -100;
    private const int AT_EMPTY_PATH = 0x1000;
    private const int OPEN_TREE_CLONE = 1;
    private const int MOVE_MOUNT_F_EMPTY_PATH = 4;
    private const int FSCONFIG_SET_STRING = 1;
    private const int FSCONFIG_CMD_CREATE = 6;
    private const int MOUNT_ATTR_RDONLY = 1;
    private const int MOUNT_ATTR_NOSUID = 2;
    private const int MOUNT_ATTR_NODEV = 4;
    private const int O_CLOEXEC = 0x8_0000;
    private const int O_CREAT = 0x40;
    private const int FolderMode = 0b111_101_101;
    private static readonly (string Name, int Flag)[] Kinds = [("net", CLONE_NEWNET), ("ipc", CLONE_NEWIPC), ("uts", CLONE_NEWUTS), ("mnt", CLONE_NEWNS)];

    private readonly List<SafeFileHandle> _namespaces = [];
    private SafeFileHandle? _root;

    /// <param name="files">Absolute paths; the room has them under the same names.</param>
    /// <exception cref="LinuxException">Not allowed to this user, or here.</exception>
    public Room(IReadOnlyList<string> files)
    {
        ExceptionDispatchInfo? failure = null;
        Thread builder = new(() =>
        {
            try
            {
                Build(files);
            }
            catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
            {
                failure = ExceptionDispatchInfo.Capture(exception);
            }
        }, maxStackSize: 256 << 10) { IsBackground = true, Name = "room" };
        builder.Start();
        builder.Join();
        if (failure is null) return;
        Dispose();
        failure.Throw();
    }

    /// <summary>Takes a thread that will end, and what it spawns, into the room.</summary>
    public void Enter(ThreadPlan plan)
    {
        plan.Add("cannot leave the file system of the other threads", SystemCall.Unshare, CLONE_FS);
        for (int i = 0; i < Kinds.Length; i++) plan.Add($"cannot enter the {Kinds[i].Name} namespace", SystemCall.Setns, Descriptor.Number(_namespaces[i]), Kinds[i].Flag);
        // setns leads to the namespace's first root, which on some machines is not the one that was moved to.
        plan.Add("cannot enter the room", SystemCall.Fchdir, Descriptor.Number(_root!));
        plan.Add("cannot make the room the root", SystemCall.Chroot, plan.Hold(".\0"u8));
        plan.Add("cannot make a PID namespace", SystemCall.Unshare, CLONE_NEWPID);
    }

    public void Dispose()
    {
        foreach (SafeFileHandle handle in _namespaces) handle.Dispose();
        _namespaces.Clear();
        _root?.Dispose();
    }

    private void Build(IReadOnlyList<string> files)
    {
        Do(SystemCall.Unshare, "cannot make namespaces; the daemon needs CAP_SYS_ADMIN", CLONE_FS | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS);
        foreach ((string name, _) in Kinds) _namespaces.Add(File.OpenHandle($"/proc/thread-self/ns/{name}"));
        fixed (byte* none = "none\0"u8, slash = "/\0"u8, empty = "\0"u8, here = ".\0"u8, host = "driver\0"u8)
        {
            Do(SystemCall.Sethostname, "cannot name the room", (long)host, "driver"u8.Length);
            Do(SystemCall.Mount, "cannot make mounts private", (long)none, (long)slash, 0, MS_REC | MS_PRIVATE);
            _root = MakeRoot();
            int root = Descriptor.Number(_root);
            List<SafeFileHandle> sources = [.. files.Select(OpenFile)];
            Do(SystemCall.MoveMount, "cannot mount the room", root, (long)empty, AT_FDCWD, (long)slash, MOVE_MOUNT_F_EMPTY_PATH);
            for (int i = 0; i < files.Count; i++) Place(sources[i], files[i]);
            SetAttributes(root, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
            Do(SystemCall.Fchdir, "cannot enter the room", root);
            Do(SystemCall.PivotRoot, "cannot make the room the root", (long)here, (long)here);
            Do(SystemCall.Umount2, "cannot leave the old root", (long)here, MNT_DETACH);
        }
    }

    private static SafeFileHandle MakeRoot()
    {
        fixed (byte* tmpfs = "tmpfs\0"u8, size = "size\0"u8, bytes = "64k\0"u8, mode = "mode\0"u8, folder = "755\0"u8)
        {
            using SafeFileHandle context = Descriptor.Own((int)Do(SystemCall.Fsopen, "cannot make a tmpfs", (long)tmpfs, 1), "");
            int number = Descriptor.Number(context);
            Do(SystemCall.Fsconfig, "cannot limit a tmpfs", number, FSCONFIG_SET_STRING, (long)size, (long)bytes);
            Do(SystemCall.Fsconfig, "cannot close a tmpfs", number, FSCONFIG_SET_STRING, (long)mode, (long)folder);
            Do(SystemCall.Fsconfig, "cannot make a tmpfs", number, FSCONFIG_CMD_CREATE);
            return Descriptor.Own((int)Do(SystemCall.Fsmount, "cannot mount a tmpfs", number, 1, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV), "");
        }
    }

    /// <summary>A mount of one file, not yet anywhere.</summary>
    private static SafeFileHandle OpenFile(string path)
    {
        fixed (byte* name = Encoding.UTF8.GetBytes(path + '\0'))
        {
            SafeFileHandle file = Descriptor.Own((int)Do(SystemCall.OpenTree, $"cannot take {path} into the room", AT_FDCWD, (long)name, OPEN_TREE_CLONE | O_CLOEXEC), "");
            SetAttributes(Descriptor.Number(file), MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
            return file;
        }
    }

    private void Place(SafeFileHandle source, string path)
    {
        using (source)
        {
            int root = Descriptor.Number(_root!);
            for (int slash = path.IndexOf('/', 1); slash > 0; slash = path.IndexOf('/', slash + 1))
            {
                // It may be there already.
                fixed (byte* folder = Encoding.UTF8.GetBytes(path[1..slash] + '\0')) _ = NativeMethods.Syscall(SystemCall.Mkdirat, root, (long)folder, FolderMode);
            }

            fixed (byte* name = Encoding.UTF8.GetBytes(path[1..] + '\0'), empty = "\0"u8)
            {
                using SafeFileHandle target = Descriptor.Own((int)Do(SystemCall.Openat, $"cannot make a place for {path}", root, (long)name, O_CREAT | O_CLOEXEC), "");
                Do(SystemCall.MoveMount, $"cannot place {path}", Descriptor.Number(source), (long)empty, root, (long)name, MOVE_MOUNT_F_EMPTY_PATH);
            }
        }
    }

    // struct mount_attr {__u64 attr_set, attr_clr, propagation, userns_fd;}
    private static void SetAttributes(int mount, ulong attributes)
    {
        ulong* all = stackalloc ulong[] { attributes, 0, 0, 0 };
        fixed (byte* empty = "\0"u8) Do(SystemCall.MountSetattr, "cannot make a mount read-only", mount, (long)empty, AT_EMPTY_PATH, (long)all, 4 * sizeof(ulong));
    }

    private static long Do(int number, string failure, long first = 0, long second = 0, long third = 0, long fourth = 0, long fifth = 0)
    {
        long result = NativeMethods.Syscall(number, first, second, third, fourth, fifth);
        return result >= 0 ? result : throw LinuxException.Last(failure);
    }
}
