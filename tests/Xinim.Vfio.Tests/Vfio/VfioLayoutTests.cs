using System.Diagnostics;
using System.Globalization;
using System.Reflection;
using System.Runtime.InteropServices;
using System.Text;
using Xinim.Vfio.Vfio;
using Xunit;

namespace Xinim.Vfio.Tests.Vfio;

/// <summary>Has a C compiler say what linux/vfio.h means, and compares every structure, field and number of ours with it.</summary>
public sealed class VfioLayoutTests
{
    private static readonly (Type Ours, string Theirs)[] Structures =
    [
        (typeof(VfioInfoCapHeader), "vfio_info_cap_header"),
        (typeof(VfioGroupStatus), "vfio_group_status"),
        (typeof(VfioDeviceInfo), "vfio_device_info"),
        (typeof(VfioRegionInfo), "vfio_region_info"),
        (typeof(VfioRegionInfoCapSparseMmap), "vfio_region_info_cap_sparse_mmap"),
        (typeof(VfioRegionSparseMmapArea), "vfio_region_sparse_mmap_area"),
        (typeof(VfioIrqInfo), "vfio_irq_info"),
        (typeof(VfioIrqSet), "vfio_irq_set"),
        (typeof(VfioIommuType1Info), "vfio_iommu_type1_info"),
        (typeof(VfioIommuType1InfoCapIovaRange), "vfio_iommu_type1_info_cap_iova_range"),
        (typeof(VfioIovaRange), "vfio_iova_range"),
        (typeof(VfioIommuType1InfoDmaAvail), "vfio_iommu_type1_info_dma_avail"),
        (typeof(VfioIommuType1DmaMap), "vfio_iommu_type1_dma_map"),
        (typeof(VfioIommuType1DmaUnmap), "vfio_iommu_type1_dma_unmap"),
    ];

    // Newer headers add padding to the end of these; the kernel takes both lengths.
    private static readonly Type[] Growing = [typeof(VfioDeviceInfo), typeof(VfioIommuType1Info)];

    [Fact]
    public void Every_structure_and_number_is_what_the_header_says()
    {
        Dictionary<string, ulong> header = AskCompiler();
        Dictionary<string, ulong> ours = Ours();
        Assert.True(ours.Count > 100, "too little was compared");
        Assert.Equal(ours.OrderBy(entry => entry.Key, StringComparer.Ordinal), header.OrderBy(entry => entry.Key, StringComparer.Ordinal));
    }

    private static Dictionary<string, ulong> Ours()
    {
        Dictionary<string, ulong> values = [];
        foreach ((Type type, string theirs) in Structures)
        {
            if (!Growing.Contains(type)) values.Add($"sizeof {theirs}", (ulong)Marshal.SizeOf(type));
            foreach (FieldInfo field in type.GetFields()) values.Add($"{theirs}.{Snake(field.Name)}", (ulong)Marshal.OffsetOf(type, field.Name));
        }

        foreach (FieldInfo constant in Constants()) values.Add(constant.Name, Convert.ToUInt64(constant.GetRawConstantValue(), CultureInfo.InvariantCulture));
        return values;
    }

    private static Dictionary<string, ulong> AskCompiler()
    {
        string directory = Directory.CreateTempSubdirectory("xinim-layout-").FullName;
        try
        {
            StringBuilder source = new("#include <stdio.h>\n#include <stddef.h>\n#include <linux/vfio.h>\nint main(void) {\n");
            foreach ((Type type, string theirs) in Structures)
            {
                if (!Growing.Contains(type)) Print(source, $"sizeof {theirs}", $"sizeof(struct {theirs})");
                foreach (FieldInfo field in type.GetFields()) Print(source, $"{theirs}.{Snake(field.Name)}", $"offsetof(struct {theirs}, {Snake(field.Name)})");
            }

            foreach (FieldInfo constant in Constants()) Print(source, constant.Name, constant.Name);
            source.Append("return 0; }\n");
            File.WriteAllText(Path.Combine(directory, "layout.c"), source.ToString());
            Run("cc", directory, "-o", "layout", "layout.c");
            return Run(Path.Combine(directory, "layout"), directory).Split('\n', StringSplitOptions.RemoveEmptyEntries)
                .Select(line => line.Split('=')).ToDictionary(pair => pair[0], pair => ulong.Parse(pair[1], CultureInfo.InvariantCulture));
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    private static void Print(StringBuilder source, string name, string expression) =>
        source.Append(CultureInfo.InvariantCulture, $"printf(\"{name}=%llu\\n\", (unsigned long long)({expression}));\n");

    private static FieldInfo[] Constants() => [.. typeof(VfioAbi).GetFields(BindingFlags.Public | BindingFlags.Static).Where(field => field.IsLiteral)];

    private static string Snake(string name) =>
        string.Concat(name.Select((c, i) => char.IsUpper(c) ? (i == 0 ? "" : "_") + char.ToLowerInvariant(c) : c.ToString()));

    private static string Run(string program, string directory, params string[] arguments)
    {
        ProcessStartInfo start = new(program, arguments) { WorkingDirectory = directory, RedirectStandardOutput = true, RedirectStandardError = true };
        using Process process = Process.Start(start)!;
        string output = process.StandardOutput.ReadToEnd();
        string errors = process.StandardError.ReadToEnd();
        process.WaitForExit();
        Assert.True(process.ExitCode == 0, $"{program} failed; it needs a C compiler and the kernel's headers (packages gcc, linux-libc-dev): {errors}");
        return output;
    }
}
