using System.Text.Json;
using Xinim.Ipc;
using Xinim.Supervisor.Configuration;
using Xinim.Vfio;

namespace Xinim.Supervisor.Manifests;

/// <summary>The installed drivers: every <c>*.json</c> of a folder.</summary>
public sealed class ManifestStore
{
    private readonly Dictionary<string, DriverManifest> _manifests = [];
    private readonly string _folder;

    /// <param name="folder">Holds the manifests; executables without a path stand in its parent.</param>
    /// <exception cref="LinuxException">No folder, or a file in it is not a manifest; names file, line and key.</exception>
    public ManifestStore(string folder)
    {
        _folder = folder;
        if (!Directory.Exists(folder)) throw new LinuxException($"no driver manifests at {folder}; build with ./scripts/build.sh, or name the folder with --drivers");
        foreach (string file in Directory.EnumerateFiles(folder, "*.json").Order(StringComparer.Ordinal)) Add(file);
    }

    /// <summary>Driver names in order.</summary>
    public IEnumerable<string> Names => _manifests.Keys.Order(StringComparer.Ordinal);

    /// <summary>The driver for a device: the one that matches most specifically, of equal ones the first by name; null where there is none.</summary>
    public DriverManifest? For(PciIdentity identity)
    {
        DriverManifest? best = _manifests.Values.OrderBy(manifest => manifest.Name, StringComparer.Ordinal).MaxBy(manifest => manifest.RankFor(identity));
        return best?.RankFor(identity) > 0 ? best : null;
    }

    /// <exception cref="LinuxException">There is no driver of that name.</exception>
    public DriverManifest ByName(string name) => _manifests.TryGetValue(name, out DriverManifest? manifest)
        ? manifest
        : throw new LinuxException($"there is no driver '{name}'; installed: {string.Join(", ", Names)}");

    /// <summary>Where a driver's executable is.</summary>
    public string ExecutableOf(DriverManifest manifest) => Path.GetFullPath(Path.Combine(_folder, "..", manifest.Executable));

    private void Add(string file)
    {
        DriverManifest manifest;
        try
        {
            manifest = JsonSerializer.Deserialize(File.ReadAllText(file), ManifestJson.Default.DriverManifest) ?? throw new JsonException("the file is empty");
        }
        catch (JsonException exception)
        {
            throw JsonProblem.In(file, exception, ManifestJson.Default.DriverManifest.Properties.Select(property => property.Name));
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new LinuxException($"cannot read the driver manifest {file}: {exception.Message}");
        }

        if (manifest.Problem() is { } problem) throw new LinuxException($"{file}: {problem}");
        if (!_manifests.TryAdd(manifest.Name, manifest)) throw new LinuxException($"{file}: a driver '{manifest.Name}' is installed already");
    }
}
