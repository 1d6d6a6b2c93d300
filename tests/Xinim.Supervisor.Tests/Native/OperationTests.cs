using System.Diagnostics;
using Xinim.Net.Ports;
using Xinim.Supervisor.Events;
using Xinim.Supervisor.Status;

namespace Xinim.Supervisor.Tests.Native;

/// <summary>An operator's commands, run as he runs them, while numbered frames go both ways: none is lost, doubled or out of order.</summary>
[Trait("needs", "qemu")]
public sealed class OperationTests
{
    [Theory]
    [InlineData("e1000")]
    [InlineData("e1000e")]
    public void Restart_and_update_pass_unnoticed(string model)
    {
        using Machine machine = new(model);
        using NetworkPort port = machine.Open();
        string version2 = machine.PathOf("driver2");
        File.Copy(Path.Combine(Machine.Binaries, "xinim-driver"), version2);
        Exchange exchange = new(machine, port);

        string restarted = exchange.During(machine.Operate("restart", "net0"));
        string updated = exchange.During(machine.Operate("update", "net0", "--executable", version2));
        string again = exchange.During(machine.Operate("restart", "net0"));
        exchange.Finish();

        Assert.Matches(@"^net0: e1000 generation 2 ready after \d+\.\d ms, process \d+\n$", restarted);
        Assert.Matches("generation 3 ready", updated);
        Assert.Matches("generation 4 ready", again);
        DeviceReport report = machine.Report();
        Assert.Equal((version2, 0u, null), (report.Executable, report.Restarts, report.LastFault));
        Assert.Equal(0ul, port.RejectedFrames);
        Assert.True(report.Latency!.Samples > 0, $"{machine}");
    }

    [Fact]
    public void A_version_that_does_not_get_ready_gives_way_to_the_former()
    {
        using Machine machine = new("e1000");
        using NetworkPort port = machine.Open();
        // It introduces itself as this driver, and ends when it is given the device.
        string bad = HostileProcess.Executable;
        Exchange exchange = new(machine, port);

        string refused = exchange.During(machine.Operate("update", "net0", "--executable", bad), status: 1);
        exchange.Finish();

        Assert.StartsWith($"xinim: {bad} did not become ready: ", refused, StringComparison.Ordinal);
        Assert.EndsWith("xinim-driver serves again\n", refused, StringComparison.Ordinal);
        Assert.Equal(Path.Combine(Machine.Binaries, "xinim-driver"), machine.Report().Executable);
        Assert.Contains(machine.Events(), one => one.Kind == EventKind.RolledBack);
    }

    /// <summary>Frames under way both ways, and what has come of them.</summary>
    private sealed class Exchange(Machine machine, NetworkPort port)
    {
        /// <summary>Frames to the wire at a time: as many as its buffer holds for sure.</summary>
        private const uint Window = 32;

        /// <summary>Rounds that follow a command, in which everything has to work as before.</summary>
        private const int Rounds = 200;

        /// <summary>A wire has no acknowledgement: what the NIC missed between two drivers is sent again.</summary>
        private static readonly TimeSpan Patience = TimeSpan.FromMilliseconds(100);

        private uint _sent;
        private uint _arrived;
        private uint _received;
        private long _offered;
        private bool _repeated;

        /// <summary>Runs a command, with traffic before, meanwhile and afterwards.</summary>
        /// <returns>What it printed.</returns>
        public string During(Func<Process> command, int status = 0)
        {
            for (int round = 0; round < Rounds; round++) Round();
            using Process process = command();
            long start = Stopwatch.GetTimestamp();
            while (!process.HasExited)
            {
                Assert.True(Stopwatch.GetElapsedTime(start) < Machine.Limit, $"the command does not end\n{machine}");
                Round();
            }

            string said = process.StandardOutput.ReadToEnd() + process.StandardError.ReadToEnd();
            Assert.True(process.ExitCode == status, $"status {process.ExitCode}: {said}\n{machine}");
            for (int round = 0; round < Rounds; round++) Round();
            return said;
        }

        /// <summary>Waits for what is under way.</summary>
        public void Finish()
        {
            uint received = _received;
            Machine.Until(port, () => Step(send: false) && _arrived == _sent && _received > received && port.TxIdle, "every frame has arrived");
            Assert.True(_sent > 3 * Window && _received > 0);
        }

        private void Round()
        {
            Step(send: true);
            port.Wait(TimeSpan.FromMilliseconds(1));
        }

        private bool Step(bool send)
        {
            port.Collect();
            while (send && _sent - _arrived < Window && port.TryRent(out uint slot)) Send(slot);
            port.Flush();
            while (machine.Wire.Receive(TimeSpan.Zero) is { Length: > 0 } frame)
            {
                Assert.True(frame.SequenceEqual(Frames.Make(_arrived, 200)), $"frame {Frames.NumberOf(frame)} arrived as number {_arrived}\n{machine}");
                _arrived++;
            }

            Offer();
            while (Frames.TryReceive(port) is { } frame) Take(frame);
            return true;
        }

        private void Send(uint slot)
        {
            Frames.Make(_sent++, 200).CopyTo(port.TxMemory(slot));
            port.Send(slot, new Ipc.Protocols.NetBuffer { Length = 200 });
        }

        /// <summary>One frame towards the NIC at a time.</summary>
        private void Offer()
        {
            if (_offered != 0 && Stopwatch.GetElapsedTime(_offered) < Patience) return;
            _repeated |= _offered != 0;
            _offered = Stopwatch.GetTimestamp();
            machine.Wire.Send(Frames.Make(_received, 300));
        }

        private void Take(byte[] frame)
        {
            uint number = Frames.NumberOf(frame);
            // The second copy of one that was offered twice, and was not missed after all.
            if (_repeated && number == _received - 1 && frame.AsSpan().SequenceEqual(Frames.Make(number, 300))) return;
            Assert.True(frame.AsSpan().SequenceEqual(Frames.Make(_received, 300)), $"frame {number} was received as number {_received}\n{machine}");
            _received++;
            _offered = 0;
        }
    }
}
