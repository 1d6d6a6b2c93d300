using System.Buffers.Binary;
using Xinim.Ipc.Protocols;
using Xinim.Net.Ports;

namespace Xinim.Supervisor.Tests.Native;

/// <summary>Numbered frames whose every byte follows from the number: what is lost, doubled, mixed up or torn shows.</summary>
internal static class Frames
{
    private const int Header = 14, NumberAt = Header;

    /// <summary>Length of frame <paramref name="number"/>: all sizes that fit into one buffer, from the smallest on.</summary>
    public static int LengthOf(uint number) => 60 + (int)(number * 37 % (1514 - 60 + 1));

    public static byte[] Make(uint number, int length)
    {
        byte[] frame = new byte[length];
        frame.AsSpan(0, 6).Fill(0xff);
        new byte[] { 0x02, 0, 0, 0, 0, 1, 0x88, 0xb5 }.CopyTo(frame, 6);
        BinaryPrimitives.WriteUInt32BigEndian(frame.AsSpan(NumberAt), number);
        for (int i = NumberAt + 4; i < length; i++) frame[i] = (byte)((number * 31) + (uint)(i * 7));
        return frame;
    }

    public static uint NumberOf(ReadOnlySpan<byte> frame) => BinaryPrimitives.ReadUInt32BigEndian(frame[NumberAt..]);

    /// <summary>Sends one frame over as many buffers as it needs; waits where none is free.</summary>
    public static void Send(NetworkPort port, ReadOnlySpan<byte> frame)
    {
        while (frame.Length > 0)
        {
            uint slot = 0;
            if (!port.TryRent(out slot)) Machine.Until(port, () => port.TryRent(out slot), "a buffer is free");
            int piece = Math.Min(frame.Length, port.TxMemory(slot).Length);
            frame[..piece].CopyTo(port.TxMemory(slot));
            frame = frame[piece..];
            port.Send(slot, new NetBuffer { Length = (uint)piece, Flags = frame.Length > 0 ? NetFlags.More : NetFlags.None });
        }
    }

    /// <summary>The next received frame, put together.</summary>
    public static byte[] Receive(NetworkPort port)
    {
        byte[]? frame = null;
        Machine.Until(port, () => (frame = TryReceive(port)) is not null, "a frame is received");
        return frame!;
    }

    public static byte[]? TryReceive(NetworkPort port)
    {
        List<byte> frame = [];
        Span<ReceivedBuffer> pieces = stackalloc ReceivedBuffer[8];
        // One frame at a time: room for one piece, and more only where the frame has more.
        for (int room = 1; room <= pieces.Length; room++)
        {
            try
            {
                uint count = port.Receive(pieces[..room]);
                if (count == 0) return null;
                foreach (ReceivedBuffer piece in pieces[..(int)count])
                {
                    frame.AddRange(port.Data(piece));
                    port.Recycle(piece.Slot);
                }

                port.Flush();
                return [.. frame];
            }
            catch (NetworkPortException) when (room < pieces.Length)
            {
                // The frame has more pieces than there was room for.
            }
        }

        return null;
    }
}
