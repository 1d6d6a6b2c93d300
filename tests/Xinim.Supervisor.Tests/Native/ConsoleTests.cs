using System.Diagnostics;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using Xinim.Ipc.Protocols;
using Xinim.Serial.Ports;

namespace Xinim.Supervisor.Tests.Native;

/// <summary>Console ports from client to socket: several clients, dying drivers, the command line.</summary>
[Trait("needs", "qemu")]
public sealed class ConsoleTests
{
    private const int Piece = 2000;

    [Fact]
    public void Each_port_has_one_client_and_says_who()
    {
        using ConsoleMachine machine = new("one", "two");
        using ConsolePort one = machine.Open("one"), two = machine.Open("2");
        Assert.Equal((1u, 2u), (one.Info.Id, two.Info.Id));
        string refusal = Assert.Throws<ConsolePortException>(() => machine.Open("1")).Message;
        Assert.Contains($"port 1 (one) of con0 is in use by process {Environment.ProcessId}", refusal, StringComparison.Ordinal);
        two.Dispose();
        machine.Until(() => machine.Report().Ports![1].Client is null, "the second port is free");
        using ConsolePort again = machine.Open("two");
        Assert.Equal(2u, again.Info.Id);
    }

    [Fact]
    public void A_port_that_is_not_there_is_named_with_those_that_are()
    {
        using ConsoleMachine machine = new("one", "two");
        string refusal = Assert.Throws<ConsolePortException>(() => machine.Open("three")).Message;
        Assert.Equal("con0 has no port 'three'; there are 1 (one), 2 (two)", refusal);
    }

    /// <summary>The driver is killed again and again while bytes go both ways: each of them arrives once, in order.</summary>
    [Fact]
    public void Nothing_is_lost_or_repeated_in_a_storm_of_kills()
    {
        const int Kills = 25;
        using ConsoleMachine machine = new("stream");
        using ConsolePort port = machine.Open("stream");
        using Socket other = machine.Connect(0);
        other.Blocking = false;
        machine.Until(() => Move(port) && port.Info.Has(ConsolePortFlags.HostOpen), "the other side is there");
        Stream there = new(1), back = new(2);
        Random random = new(3);
        byte[] buffer = new byte[8192];
        for (int kill = 0; kill < Kills; kill++)
        {
            uint lives = port.Recoveries;
            // Somewhere in the middle of it: how far the streams are when the driver dies is chance.
            ulong mark = there.Checked + (ulong)random.Next(1, 20_000);
            machine.Until(() => Exchange(port, other, there, back, buffer) && there.Checked >= mark, "bytes go there");
            machine.KillDriver();
            machine.Until(() => Exchange(port, other, there, back, buffer) && port.Recoveries > lives, "the next driver serves");
        }

        machine.Until(() => Exchange(port, other, there, back, buffer, more: false) && there.IsDone && back.IsDone && port.TxIdle, "all has arrived");
        Assert.Equal(0ul, port.LostBytes);
        Assert.True(there.Checked > 50_000 && back.Checked > 50_000, $"{there.Checked} and {back.Checked} bytes");
    }

    [Fact]
    public void The_command_line_moves_bytes_between_a_script_and_a_port()
    {
        using ConsoleMachine machine = new("org.xinim.0");
        using Socket other = machine.Connect(0);
        machine.Until(() => machine.Report().Ports is [{ HostOpen: true }], "the other side is there");
        using Process list = machine.Command("console", "con0", "--list", "--json");
        JsonElement ports = JsonDocument.Parse(list.StandardOutput.ReadToEnd()).RootElement;
        Assert.Equal("org.xinim.0", ports[0].GetProperty("name").GetString());
        using Process attached = machine.Command("console", "con0", "--port", "org.xinim.0");
        attached.StandardInput.Write("from a script");
        attached.StandardInput.Close();
        Assert.Equal("from a script", Read(other, 13));
        Assert.True(attached.WaitForExit(Machine.Limit), "it does not end");
        Assert.Equal((0, ""), (attached.ExitCode, attached.StandardError.ReadToEnd()));
        using Process unknown = machine.Command("console", "con0", "--port", "nothing");
        Assert.Equal("xinim: con0 has no port 'nothing'; there are 1 (org.xinim.0)\n", unknown.StandardError.ReadToEnd());
    }

    [Fact]
    public void A_port_is_a_pseudo_terminal_for_other_programs()
    {
        using ConsoleMachine machine = new("org.xinim.0");
        using Socket other = machine.Connect(0);
        machine.Until(() => machine.Report().Ports is [{ HostOpen: true }], "the other side is there");
        string link = machine.PathOf("tty");
        using Process pty = machine.Command("console", "con0", "--port", "1", "--pty", "--link", link);
        Assert.StartsWith("port 1 (org.xinim.0): /dev/pts/", pty.StandardOutput.ReadLine(), StringComparison.Ordinal);
        using (FileStream tty = new(link, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite, 0))
        {
            tty.Write("to the host\r"u8);
            Assert.Equal("to the host\r", Read(other, 12));
            other.Send("to the tty\n"u8);
            byte[] bytes = new byte[11];
            tty.ReadExactly(bytes);
            Assert.Equal("to the tty\n", Encoding.ASCII.GetString(bytes));
        }

        using (Process kill = Process.Start("kill", ["-INT", $"{pty.Id}"])) kill.WaitForExit();
        Assert.True(pty.WaitForExit(Machine.Limit), "it does not end");
        Assert.Equal(0, pty.ExitCode);
        Assert.False(Path.Exists(link));
    }

    /// <summary>One round: both sides send what is taken and check what has come.</summary>
    private static bool Exchange(ConsolePort port, Socket other, Stream there, Stream back, byte[] buffer, bool more = true)
    {
        // As little under way as a socket holds: QEMU forgets, over a reset, how much of a buffer a full one had taken.
        if (more && there.UnderWay < 16_384) there.Sent(port.Write(there.Next(buffer.AsSpan(0, Piece))));
        if (more && back.UnderWay < 65_536)
        {
            int count = other.Send(back.Next(buffer.AsSpan(0, Piece)), SocketFlags.None, out SocketError error);
            if (error == SocketError.Success) back.Sent(count);
        }

        if (other.Available != 0) there.Check(buffer.AsSpan(0, other.Receive(buffer)));
        int read;
        while ((read = port.Read(buffer)) != 0) back.Check(buffer.AsSpan(0, read));
        return Move(port);
    }

    private static bool Move(ConsolePort port)
    {
        _ = port.Wait(TimeSpan.FromMilliseconds(1));
        return true;
    }

    private static string Read(Socket socket, int length)
    {
        byte[] bytes = new byte[length];
        socket.ReceiveTimeout = (int)Machine.Limit.TotalMilliseconds;
        for (int done = 0; done < length;) done += socket.Receive(bytes, done, length - done, SocketFlags.None);
        return Encoding.ASCII.GetString(bytes);
    }

    /// <summary>A stream in which every eight bytes are their own place, scrambled: one byte lost, repeated or changed is found at once.</summary>
    private sealed class Stream(ulong seed)
    {
        private ulong _sent;

        public ulong Checked { get; private set; }

        public ulong UnderWay => _sent - Checked;

        public bool IsDone => UnderWay == 0;

        public ReadOnlySpan<byte> Next(Span<byte> into)
        {
            for (int i = 0; i < into.Length; i++) into[i] = At(_sent + (ulong)i);
            return into;
        }

        public void Sent(int count) => _sent += (ulong)count;

        public void Check(ReadOnlySpan<byte> bytes)
        {
            foreach (byte one in bytes)
            {
                Assert.True(one == At(Checked), $"byte {Checked} of stream {seed} is {one}, not {At(Checked)}");
                Checked++;
            }
        }

        private byte At(ulong place)
        {
            ulong word = ((place / 8) + (seed << 32)) * 0x9e37_79b9_7f4a_7c15;
            return (byte)((word ^ (word >> 29)) >> (int)(place % 8 * 8));
        }
    }
}
