using Xinim.HostileDriver.Native;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Native;
using Xinim.Lab.Tests.Vfio;
using Xinim.Vfio.Dma;
using Xinim.Vfio.Registers;
using Xinim.Vfio.Vfio;

namespace Xinim.HostileDriver;

/// <summary>Out through the device: an 82540EM on VFIO that copies frames in loopback, told to copy from and to where nothing was granted.</summary>
internal static class DeviceEscapes
{
    private const int FrameBytes = 512;
    private const byte Own = 0x3C;
    private const long SourceOffset = 1 << 20, TargetOffset = SourceOffset + 4096;

    /// <summary>linux/vfio.h and vfio_pci_core.h: a region's number stands in the high bits of the offset; configuration space is number 7.</summary>
    private const long ConfigRegion = 7L << 40;

    public static void TryAll(Victim victim)
    {
        ReadOtherConfigs(victim);
        using VfioPciDevice device = VfioPciDevice.FromHandle(victim.Device, victim.DeviceName);
        DmaArena arena = new(new DmaRegion(0, new Iova(victim.WorkIova), victim.Work.Size, RegionAccess.ReadWrite, victim.Work));
        RawE1000 nic = new(device);
        nic.Start(arena);
        Wait.Until(() => nic.LinkIsUp, TimeSpan.FromSeconds(30), "STATUS.LU", TimeSpan.FromMilliseconds(5));
        // QEMU receives nothing in the first second after RCTL was written (hw/net/e1000.c, flush_queue_timer).
        Wait.Pause(TimeSpan.FromMilliseconds(1100));
        victim.Work.Slice(SourceOffset, FrameBytes).Fill(Own);
        Iova work = new(victim.WorkIova);
        SayWhetherItWorks(victim, nic, work);
        // Where PCs keep their kernel, a megabyte of ordinary memory, the end of what was granted, and an address that is nothing to nobody.
        ulong[] strangers = [0x10_0000, 0x100_0000, victim.WorkIova + (ulong)victim.Work.Size, 0x7000_0000_0000];
        foreach (ulong stranger in strangers)
        {
            nic.TryCopy(work + SourceOffset, new Iova(stranger), FrameBytes);
            victim.Say($"ESCAPE DMA to 0x{stranger:x}: tried");
        }

        foreach (ulong stranger in strangers)
        {
            victim.Work.Slice(TargetOffset, FrameBytes).Fill(Own);
            nic.TryCopy(new Iova(stranger), work + TargetOffset, FrameBytes);
            nic.Received();
            bool came = victim.Work.Slice(TargetOffset, FrameBytes).ContainsAnyExcept(Own, (byte)0);
            victim.Say($"ESCAPE DMA from 0x{stranger:x}: {(came ? "succeeded" : "nothing came")}");
        }
    }

    /// <summary>The attack would work if it were let: a frame is copied within the grant.</summary>
    private static void SayWhetherItWorks(Victim victim, RawE1000 nic, Iova work)
    {
        victim.Work.Slice(TargetOffset, FrameBytes).Clear();
        bool copied = nic.TryCopy(work + SourceOffset, work + TargetOffset, FrameBytes) && nic.Received();
        bool same = victim.Work.Slice(TargetOffset, FrameBytes).SequenceEqual(victim.Work.Slice(SourceOffset, FrameBytes));
        victim.Say($"DMA within the grant: {(copied && same ? "works" : "does not work")}");
    }

    /// <summary>Config space of the functions before and behind, and everything else that an offset into the descriptor could name.</summary>
    private static unsafe void ReadOtherConfigs(Victim victim)
    {
        uint word;
        int device = Descriptor.Number(victim.Device);
        victim.Say($"own configuration: {(Raw.Call(17, device, (long)&word, 4, ConfigRegion) == 4 ? $"{word:x8}" : "unreadable")}");
        foreach (long offset in (long[])[ConfigRegion + 0x1000, ConfigRegion + 0x8000, ConfigRegion - 0x1000, (ConfigRegion << 1) | 0x1000, (16L << 40), -4096])
        {
            word = 0;
            long result = Raw.Call(17, device, (long)&word, 4, offset);
            victim.Say($"ESCAPE configuration at {offset:x}: {(result <= 0 || word is 0 or uint.MaxValue ? "nothing there" : $"succeeded, {word:x8}")}");
        }
    }
}
