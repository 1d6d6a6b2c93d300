using System.Diagnostics;
using Xinim.Ipc.Protocols;
using Xinim.Lab.Tests.Vfio;
using Xinim.Net.Ports;
using Xunit;

namespace Xinim.Lab.Tests.Drivers;

/// <summary>The two NICs that a cable connects: what one driver process sends wakes the other, which sleeps, by its device's interrupt.</summary>
[Collection(nameof(VfioLab))]
[Trait("needs", "guest")]
public sealed class WakeLabTests
{
    private const int Round = 20, Rounds = 10;
    private const ulong Interrupts = 10;

    [Theory]
    [InlineData(0, 1)] // from the 82540EM to the 82574L: MSI-X
    [InlineData(1, 0)] // from the 82574L to the 82540EM: INTx
    public void A_frame_wakes_a_driver_that_sleeps(int from, int to)
    {
        LabDevice.RequireLab();
        using LabDaemon daemon = new(["0000:00:0c.0", "0000:00:0d.0"]);
        using NetworkPort sender = daemon.Open($"net{from}");
        using NetworkPort receiver = daemon.Open($"net{to}");
        Until(sender, () => sender.Link.Up == 1, "the sender's link comes up");
        Until(receiver, () => receiver.Link.Up == 1, "the receiver's link comes up");
        // The 82540EM's model receives nothing in the first second after RCTL was written.
        Until(sender, () => Send(sender, receiver) && Receive(receiver), "a first frame arrives");
        int driver = daemon.Status($"net{to}").GetProperty("pid").GetInt32();
        ulong before = InterruptsOf(daemon, to);

        // On an idle host every other frame or more; on a busy one the driver's own timer and the buffers that come back are often first.
        for (int round = 0; InterruptsOf(daemon, to) < before + Interrupts; round++)
        {
            Assert.True(round < Rounds, $"{InterruptsOf(daemon, to) - before} interrupts for {Rounds * Round} frames");
            for (int frame = 0; frame < Round; frame++)
            {
                Until(receiver, () => Sleeps(driver), "the driver sleeps");
                Assert.True(Send(sender, receiver), "no buffer to send from");
                Until(receiver, () => Receive(receiver), $"frame {frame} of round {round} arrives");
            }
        }
    }

    private static ulong InterruptsOf(LabDaemon daemon, int number)
        => daemon.Status($"net{number}").GetProperty("counters").GetProperty("interrupts").GetUInt64();

    /// <summary>Its main thread waits in the kernel: state S of /proc/PID/stat, behind the name in parentheses (proc(5)).</summary>
    private static bool Sleeps(int process) => File.ReadAllText($"/proc/{process}/stat").Split(") ")[1][0] == 'S';

    private static bool Send(NetworkPort sender, NetworkPort receiver)
    {
        sender.Collect();
        if (!sender.TryRent(out uint slot)) return false;
        Span<byte> frame = sender.TxMemory(slot)[..60];
        frame.Clear();
        MacAddress to = receiver.Info.Mac, from = sender.Info.Mac;
        ((ReadOnlySpan<byte>)to).CopyTo(frame);
        ((ReadOnlySpan<byte>)from).CopyTo(frame[6..]);
        (frame[12], frame[13]) = (0x88, 0xb5);
        sender.Send(slot, 60);
        sender.Flush();
        return true;
    }

    /// <summary>Takes what has arrived; true where that was something.</summary>
    private static bool Receive(NetworkPort port)
    {
        Span<ReceivedBuffer> pieces = stackalloc ReceivedBuffer[64];
        int count = (int)port.Receive(pieces);
        foreach (ReceivedBuffer piece in pieces[..count]) port.Recycle(piece.Slot);
        port.Flush();
        return count != 0;
    }

    private static void Until(NetworkPort port, Func<bool> condition, string what)
    {
        long start = Stopwatch.GetTimestamp();
        while (!condition())
        {
            Assert.True(Stopwatch.GetElapsedTime(start) < LabProgram.Limit, $"waited in vain until {what}");
            port.Wait(TimeSpan.FromMilliseconds(20));
        }
    }
}
