using Xinim.Faults.Processes;
using Xinim.Faults.Targets;

namespace Xinim.Faults.Faults;

/// <summary>Bits of the device's descriptors are turned over while the device works on them: one, or one in each of a run of descriptors.</summary>
internal sealed class DescriptorFault(bool many) : IFault
{
    private const int DescriptorBytes = 16;
    private const int MaxRun = 64;

    public string Kind => many ? "descriptor-run" : "descriptor-flip";

    public bool Lies => true;

    public bool Fits(DeviceTarget target) => true;

    public string Inject(DeviceTarget target, Random random) => SharedMemory.With(target, SharedMemory.Work, (memory, region) =>
    {
        List<ulong> pages = [.. memory.TouchedPages(region).Where(touched => touched != SharedMemory.Mailbox(region))];
        if (pages.Count == 0) throw new IOException("the driver has written no descriptor");
        ulong page = pages[random.Next(pages.Count)];
        int count = many ? random.Next(2, MaxRun) : 1;
        int first = random.Next(ProcessMemory.PageBytes / DescriptorBytes);
        for (int i = 0; i < count; i++)
        {
            int descriptor = (first + i) % (ProcessMemory.PageBytes / DescriptorBytes);
            memory.Flip(page + (ulong)((descriptor * DescriptorBytes) + random.Next(DescriptorBytes)), random.Next(8));
        }

        return $"{count} from +{page - region.Start + (ulong)(first * DescriptorBytes)}";
    });
}
