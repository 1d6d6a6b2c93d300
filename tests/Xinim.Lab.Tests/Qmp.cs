using System.Diagnostics;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Xinim.Ipc.Native;
using Xinim.Lab.Tests.Vfio;
using Xunit;

namespace Xinim.Lab.Tests;

/// <summary>
/// QEMU's control socket (docs/interop/qmp-spec) from inside the guest, with <c>scripts/lab.sh --guest-qmp</c>: devices are plugged and unplugged as an operator would
/// on a server. A line is a message; of what stood in the serial port before it was opened parts may be missing, and are passed over.
/// </summary>
internal sealed class Qmp : IDisposable
{
    private const string Port = "/dev/ttyS1";
    private static int s_id;

    private readonly FileStream _port;
    private readonly StringBuilder _line = new();
    private readonly Queue<string> _lines = new();
    private readonly List<JsonNode> _events = [];

    public Qmp()
    {
        Assert.SkipUnless(Environment.GetEnvironmentVariable("XINIM_LAB_QMP") == "1", "plugs devices: scripts/lab.sh --guest-qmp -- …");
        _port = new FileStream(Port, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite, bufferSize: 0);
        LabDevice.Shell("stty", "-F", Port, "raw", "-echo");
        // Until then the terminal has echoed what QEMU said: a byte that no text has makes its parser forget that.
        _port.Write([0xff, (byte)'\n']);
        // Refused by a QEMU that knows us already.
        Send("qmp_capabilities", null, required: false);
    }

    /// <summary>Plugs a device.</summary>
    /// <param name="id">QEMU's name for it from now on.</param>
    public void Plug(string id, string driver, string bus, params (string Key, JsonNode Value)[] properties)
    {
        JsonObject arguments = new() { ["driver"] = driver, ["id"] = id, ["bus"] = bus };
        foreach ((string key, JsonNode value) in properties) arguments[key] = value;
        Send("device_add", arguments);
    }

    /// <summary>Lets so many requests a second through to the disks of a throttle group; 0 for all.</summary>
    public void Throttle(string group, int requestsPerSecond)
        => Send("qom-set", new JsonObject { ["path"] = $"/objects/{group}", ["property"] = "limits", ["value"] = new JsonObject { ["iops-total"] = requestsPerSecond } });

    /// <summary>Bytes that the image behind a block node takes on the host.</summary>
    public long AllocatedBytes(string node)
    {
        JsonNode nodes = Send("query-named-block-nodes", new JsonObject { ["flat"] = true })!;
        return (long)nodes.AsArray().Single(one => (string?)one!["node-name"] == node)!["image"]!["actual-size"]!;
    }

    /// <summary>The block back end of a device of QEMU's, as query-block tells of it.</summary>
    public JsonNode BlockOf(string backend) => Send("query-block", null)!.AsArray().Single(one => (string?)one!["device"] == backend)!;

    /// <summary>Asks the guest's kernel to give a device up, as pressing the attention button does.</summary>
    public void Unplug(string id) => Send("device_del", new JsonObject { ["id"] = id });

    /// <summary>Waits until the kernel has given it up.</summary>
    public void AwaitUnplugged(string id)
    {
        bool IsIt(JsonNode happened) => (string?)happened["event"] == "DEVICE_DELETED" && (string?)happened["data"]?["device"] == id;
        long start = Stopwatch.GetTimestamp();
        while (!_events.Exists(IsIt)) Take(Next(start, $"{id} is not given up"));
        _events.RemoveAll(IsIt);
    }

    public void Dispose() => _port.Dispose();

    private JsonNode? Send(string command, JsonObject? arguments, bool required = true)
    {
        string id = $"lab-{++s_id}";
        JsonObject message = new() { ["execute"] = command, ["id"] = id };
        if (arguments is not null) message["arguments"] = arguments;
        _port.Write(Encoding.UTF8.GetBytes(message.ToJsonString() + "\n"));
        long start = Stopwatch.GetTimestamp();
        while (true)
        {
            JsonNode? said = Take(Next(start, $"QEMU does not answer {command}"));
            if ((string?)said?["id"] != id) continue;
            Assert.True(!required || said["error"] is null, $"{message.ToJsonString()}: {said.ToJsonString()}");
            return said["return"];
        }
    }

    private JsonNode? Take(string line)
    {
        try
        {
            JsonNode? said = JsonNode.Parse(line);
            if (said?["event"] is not null) _events.Add(said);
            return said as JsonObject;
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            return null;
        }
    }

    private string Next(long start, string otherwise)
    {
        byte[] bytes = new byte[4096];
        while (_lines.Count == 0)
        {
            Assert.True(Stopwatch.GetElapsedTime(start) < LabProgram.Limit, otherwise);
            if (Descriptor.Poll(TimeSpan.FromSeconds(1), _port.SafeFileHandle) == 0) continue;
            foreach (char one in Encoding.UTF8.GetString(bytes, 0, _port.Read(bytes)))
            {
                if (one != '\n')
                {
                    _line.Append(one);
                    continue;
                }

                _lines.Enqueue(_line.ToString());
                _line.Clear();
            }
        }

        return _lines.Dequeue();
    }
}
