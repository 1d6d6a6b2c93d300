using Xinim.Ipc;
using Xinim.Vfio.Pci;

namespace Xinim.Host.Daemon;

/// <summary>
/// The devices that this daemon took from the kernel and will give back: a file each, so that a daemon that crashed can be followed by one that
/// knows. From any thread.
/// </summary>
internal sealed class TakenDevices(string folder)
{
    /// <summary>Those of a former daemon that crashed included.</summary>
    public IReadOnlyList<PciAddress> All => Directory.Exists(folder)
        ? [.. Directory.GetFiles(folder).Select(Path.GetFileName).Where(name => PciAddress.TryParse(name, out _)).Select(name => PciAddress.Parse(name!)).Order()]
        : [];

    /// <exception cref="LinuxException">The folder cannot be written.</exception>
    public void Add(PciAddress address)
    {
        try
        {
            Directory.CreateDirectory(folder);
            File.WriteAllText(FileOf(address), "");
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new LinuxException($"cannot remember in {folder} that {address} is to be given back: {exception.Message}");
        }
    }

    public void Remove(PciAddress address) => File.Delete(FileOf(address));

    private string FileOf(PciAddress address) => Path.Combine(folder, address.ToString());
}
