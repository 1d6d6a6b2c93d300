using Xinim.Faults.Traffic;
using Xinim.Ipc.Protocols;
using Xinim.TestKit.Fakes;

namespace Xinim.Faults.Model;

/// <summary>A NIC's client: what a driver gives it is held against what any driver must keep to: buffers that it holds, once, within their bounds.</summary>
/// <param name="client">Its rings and pools.</param>
/// <param name="buffers">Of each direction.</param>
/// <param name="rx">What comes to it.</param>
internal sealed class ModelClient(FakeNetworkClient client, uint buffers, FrameStream rx)
{
    private const uint MaxFrame = 1518;
    private const uint MinFrame = 14;

    private readonly bool[] _held = new bool[buffers];
    private readonly byte[] _whole = new byte[65536];

    /// <summary>What no driver may do, whatever its device does; null so far.</summary>
    public string? Breach { get; private set; }

    /// <summary>Gives all receive buffers to the driver.</summary>
    public void PostAll()
    {
        for (uint slot = 0; slot < buffers; slot++) Post(slot);
    }

    /// <summary>Takes what the driver has for it.</summary>
    public void Take()
    {
        TakeCompleted();
        TakeReceived();
    }

    /// <summary>Forgets which buffers the driver holds: a defect of the checker's own, to see it fail.</summary>
    internal void Forget() => Array.Clear(_held);

    private void Post(uint slot)
    {
        _held[slot] = true;
        client.Post(1, slot);
    }

    private void TakeCompleted()
    {
        foreach (NetBuffer buffer in client.TakeCompleted())
        {
            if (buffer.Cookie >= buffers) Breach ??= $"a transmit buffer {buffer.Cookie} that was never given came back";
            else if (buffer.Flags != NetFlags.None) Breach ??= $"a good transmit request came back with {buffer.Flags}";
        }
    }

    private void TakeReceived()
    {
        var ring = client.Client.Received;
        uint count = ring.Peek(buffers);
        int bytes = 0;
        for (uint i = 0; i < count; i++)
        {
            NetBuffer buffer = ring.Read(i);
            if (Problem(buffer) is { } problem)
            {
                Breach ??= problem;
                break;
            }

            if ((buffer.Flags & NetFlags.Unused) == 0)
            {
                client.RxPool.Memory!.Slice(FakeNetworkClient.OffsetOf((uint)buffer.Cookie), (int)buffer.Length).CopyTo(_whole.AsSpan(bytes));
                bytes += (int)buffer.Length;
                if ((buffer.Flags & NetFlags.More) == 0)
                {
                    if (bytes is < (int)MinFrame or > (int)MaxFrame) Breach ??= $"a frame of {bytes} bytes was given as good";
                    _ = rx.Check(_whole.AsSpan(0, bytes));
                    bytes = 0;
                }
            }

            _held[buffer.Cookie] = false;
            Post((uint)buffer.Cookie);
        }

        ring.Release(count);
    }

    private string? Problem(in NetBuffer buffer)
    {
        if (buffer.Cookie >= buffers || !_held[buffer.Cookie]) return $"receive buffer {buffer.Cookie}, which the driver does not hold, came back";
        if (buffer.Length > FakeNetworkClient.BufferBytes) return $"receive buffer {buffer.Cookie} came back with {buffer.Length} bytes, more than it holds";
        const NetFlags known = NetFlags.More | NetFlags.Unused | NetFlags.Vlan | NetFlags.Ipv4Checksum | NetFlags.TransportChecksum | NetFlags.ChecksumBad;
        return (buffer.Flags & ~known) != 0 ? $"receive buffer {buffer.Cookie} came back with flags {buffer.Flags}" : null;
    }
}
