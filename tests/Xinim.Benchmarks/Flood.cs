using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace Xinim.Benchmarks;

/// <summary>Sends minimal Ethernet frames as UDP datagrams to a QEMU socket netdev at a steady rate, until it is killed: the wire of a receive benchmark.</summary>
internal static class Flood
{
    private const int FrameBytes = 60;
    private const int Burst = 32;
    private const int UdpLevel = 17;
    private const int UdpSegment = 103;

    /// <param name="arguments"><c>--port P --rate FRAMES_PER_SECOND</c>.</param>
    public static int Run(string[] arguments)
    {
        int port = Value(arguments, "--port");
        int rate = Value(arguments, "--rate");
        using Socket socket = new(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        socket.Connect(IPAddress.Loopback, port);
        // The kernel cuts one message into many datagrams (udp(7), UDP_SEGMENT): the sender must not need the processors that are measured.
        socket.SetRawSocketOption(UdpLevel, UdpSegment, BitConverter.GetBytes(FrameBytes));
        byte[] frames = new byte[Burst * FrameBytes];
        for (int i = 0; i < Burst; i++) Fill(frames.AsSpan(i * FrameBytes, FrameBytes));
        long start = Stopwatch.GetTimestamp();
        for (long sent = 0; ;)
        {
            // Asleep between bursts: on a machine with two processors a spinning sender would take one from the receiver.
            Thread.Sleep(1);
            for (long due = (long)(Stopwatch.GetElapsedTime(start).TotalSeconds * rate); sent < due; sent += Burst) Send(socket, frames);
        }
    }

    private static void Fill(Span<byte> frame)
    {
        frame[..6].Fill(0xff);
        ReadOnlySpan<byte> rest = [2, 0, 0, 0, 0, 1, 0x88, 0xb5];
        rest.CopyTo(frame[6..]);
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
