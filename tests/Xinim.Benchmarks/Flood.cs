using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace Xinim.Benchmarks;

/// <summary>Sends minimal Ethernet frames as UDP datagrams to a QEMU socket netdev at a steady rate, until it is killed: the wire of a receive benchmark.</summary>
internal static class Flood
{
    private const int FrameBytes = 60;

    /// <param name="arguments"><c>--port P --rate FRAMES_PER_SECOND</c>.</param>
    public static int Run(string[] arguments)
    {
        int port = Value(arguments, "--port");
        int rate = Value(arguments, "--rate");
        using Socket socket = new(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        socket.Connect(IPAddress.Loopback, port);
        byte[] frame = new byte[FrameBytes];
        frame.AsSpan(0, 6).Fill(0xff);
        new byte[] { 2, 0, 0, 0, 0, 1, 0x88, 0xb5 }.CopyTo(frame, 6);
        long start = Stopwatch.GetTimestamp();
        for (long sent = 0; ;)
        {
            // Asleep between bursts: on a machine with two processors a spinning sender would take one from the receiver.
            Thread.Sleep(1);
            for (long due = (long)(Stopwatch.GetElapsedTime(start).TotalSeconds * rate); sent < due; sent++) Send(socket, frame);
        }
    }

    private static void Send(Socket socket, byte[] frame)
    {
        try
        {
            socket.Send(frame);
        }
        catch (SocketException)
        {
            // Nobody listens between two guests: ICMP port unreachable.
        }
    }

    private static int Value(string[] arguments, string name)
    {
        int place = Array.IndexOf(arguments, name);
        return int.Parse(arguments[place + 1], CultureInfo.InvariantCulture);
    }
}
