using System.Buffers;
using Xinim.Ipc.Protocols;
using Xinim.Net.Ports;

namespace Xinim.Net.Capture;

/// <summary>A received frame in one piece.</summary>
public delegate void FrameHandler(ReadOnlySpan<byte> frame);

/// <summary>Receives frames and puts the pieces of large ones together. For tools that look at frames; it copies those.</summary>
public sealed class FrameReader(NetworkPort port)
{
    private readonly ReceivedBuffer[] _pieces = new ReceivedBuffer[64];
    private readonly ArrayBufferWriter<byte> _whole = new(16384);

    /// <summary>Passes on what has come.</summary>
    /// <returns>False where nothing has.</returns>
    public bool Read(FrameHandler handler)
    {
        uint count = port.Receive(_pieces);
        for (int i = 0; i < count; i++)
        {
            ReceivedBuffer piece = _pieces[i];
            bool more = (piece.Flags & NetFlags.More) != 0;
            if (!more && _whole.WrittenCount == 0) handler(port.Data(piece));
            else Assemble(piece, more, handler);
            port.Recycle(piece.Slot);
        }

        if (count != 0) port.Flush();
        return count != 0;
    }

    private void Assemble(in ReceivedBuffer piece, bool more, FrameHandler handler)
    {
        _whole.Write(port.Data(piece));
        if (more) return;
        handler(_whole.WrittenSpan);
        _whole.ResetWrittenCount();
    }
}
