using System.Diagnostics;
using System.Text.Json;
using Xinim.Lab.Tests.Vfio;
using Xinim.Serial.Ports;
using Xunit;

namespace Xinim.Lab.Tests.Drivers;

/// <summary>The guest's virtio-serial on VFIO, with MSI-X: port 0 is a console, port 1 gives back what it gets (scripts/lab.sh).</summary>
[Collection(nameof(VfioLab))]
[Trait("needs", "guest")]
public sealed class ConsoleLabTests
{
    private const string Serial = "0000:00:09.0";
    private const int Kills = 30, Bytes = 600_000, UnderWay = 8192;

    [Fact]
    public void Bytes_come_back_as_they_were_sent_in_a_storm_of_kills()
    {
        LabDevice.RequireLab();
        using LabDaemon daemon = new([], others: $$"""{ "device": "{{Serial}}", {{LabDaemon.NeverGivenUp}} }""");
        daemon.Await("con0: generation 1 ready", 1);
        using ConsolePort port = ConsolePort.Open("con0", "xinim.echo", daemon.Socket);
        byte[] sent = new byte[Bytes], received = new byte[Bytes], piece = new byte[4096];
        new Random(5).NextBytes(sent);
        int written = 0, read = 0;
        uint deaths = 0;
        long start = Stopwatch.GetTimestamp();
        while (read < Bytes)
        {
            Assert.True(Stopwatch.GetElapsedTime(start) < LabProgram.Limit, $"{written} bytes were written and {read} came back\n{daemon.Log}");
            written += port.Write(sent.AsSpan(written, Math.Min(Bytes - written, Math.Max(0, UnderWay - (written - read)))));
            int count = port.Read(piece);
            Assert.True(count <= Bytes - read, "more came back than was sent");
            piece.AsSpan(0, count).CopyTo(received.AsSpan(read));
            read += count;
            if (deaths < Kills && port.Recoveries == deaths && read > Bytes / (Kills + 1) * (deaths + 1))
            {
                deaths++;
                daemon.KillDriver("con0");
            }

            if (count != 0) start = Stopwatch.GetTimestamp();
            else _ = port.Wait(TimeSpan.FromMilliseconds(20));
        }

        Assert.Equal(sent, received);
        Assert.Equal(((uint)Kills, 0ul), (port.Recoveries, port.LostBytes));
    }

    [Fact]
    public void The_console_is_listed_and_takes_what_is_written()
    {
        LabDevice.RequireLab();
        using LabDaemon daemon = new([Serial]);
        using ConsolePort console = ConsolePort.Open("con0", socket: daemon.Socket);
        Assert.Equal(0u, console.Info.Id);
        JsonElement[] ports = [.. daemon.Status("con0").GetProperty("ports").EnumerateArray()];
        Assert.Contains(ports, port => port.GetProperty("id").GetInt32() == 0 && port.GetProperty("console").GetBoolean());
        _ = console.Write("to the console\n"u8);
        long start = Stopwatch.GetTimestamp();
        while (!console.TxIdle)
        {
            Assert.True(Stopwatch.GetElapsedTime(start) < LabProgram.Limit, $"the console takes nothing\n{daemon.Log}");
            _ = console.Wait(TimeSpan.FromMilliseconds(20));
        }
    }
}
