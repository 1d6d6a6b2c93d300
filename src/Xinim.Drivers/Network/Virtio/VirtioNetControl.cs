using System.Buffers.Binary;
using System.Diagnostics;
using Xinim.Drivers.Virtio.Queues;
using Xinim.Drivers.Virtio.Transports;
using Xinim.Vfio;
using Xinim.Vfio.Dma;

namespace Xinim.Drivers.Network.Virtio;

/// <summary>The control queue [V §5.1.6.5]: one command at a time, waited for. Control path only.</summary>
internal abstract class VirtioNetControl
{
    /// <summary>Bytes of the largest command's data.</summary>
    public const int MaxData = 1024;

    // Classes and commands [V §5.1.6.5.1 to §5.1.6.5.9].
    public static readonly NetCommand Promiscuous = new(0, 0), AllMulticast = new(0, 1); // [V §5.1.6.5.1]
    public static readonly NetCommand SetMacTable = new(1, 0), SetMac = new(1, 1); // [V §5.1.6.5.2]
    public static readonly NetCommand AddVlan = new(2, 0), RemoveVlan = new(2, 1); // [V §5.1.6.5.3]
    public static readonly NetCommand AcknowledgeAnnounce = new(3, 0); // [V §5.1.6.5.4]
    public static readonly NetCommand SetPairs = new(4, 0), SetRss = new(4, 1), SetHash = new(4, 2); // [V §5.1.6.5.5 to §5.1.6.5.7]
    public static readonly NetCommand SetOffloads = new(5, 0); // [V §5.1.6.5.8]

    private static readonly NetCommand s_coalesceTx = new(6, 0), s_coalesceRx = new(6, 1); // [V §5.1.6.5.9]

    /// <summary>Has the device gather interrupts of both directions.</summary>
    /// <param name="frames">That end the wait, too.</param>
    /// <inheritdoc cref="Do"/>
    public bool Coalesce(uint frames, uint microseconds)
    {
        Span<byte> limits = stackalloc byte[8];
        BinaryPrimitives.WriteUInt32LittleEndian(limits, frames);
        BinaryPrimitives.WriteUInt32LittleEndian(limits[4..], microseconds);
        return Do(s_coalesceTx, limits) && Do(s_coalesceRx, limits);
    }

    /// <summary>Gives the queue's memory to the device.</summary>
    public abstract void SetUp(IVirtioTransport transport, ushort queue);

    /// <summary>Has the device do something.</summary>
    /// <returns>False where it says that it cannot (VIRTIO_NET_ERR).</returns>
    /// <exception cref="DeviceFaultException">It does not answer, or with nonsense.</exception>
    public abstract bool Do(NetCommand command, ReadOnlySpan<byte> data);
}

/// <summary>class and command of struct virtio_net_ctrl [V §5.1.6.5].</summary>
internal readonly record struct NetCommand(byte Class, byte Command);

/// <inheritdoc cref="VirtioNetControl"/>
internal sealed class VirtioNetControl<TQueue>(TQueue queue, DmaArena arena) : VirtioNetControl
    where TQueue : struct, IVirtQueue
{
    public const uint Entries = 4;
    private const int HeaderBytes = 2, AckAt = HeaderBytes + MaxData;
    private const byte Ok = 0, Error = 1, Unanswered = 0xff; // VIRTIO_NET_OK, VIRTIO_NET_ERR [V §5.1.6.5]

    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(2);
    private readonly DmaBuffer<byte> _memory = arena.Allocate<byte>(2048, 16);
#pragma warning disable IDE0044 // a struct that changes: readonly would have each call work on a copy
    private TQueue _queue = queue;
#pragma warning restore IDE0044
    private VirtioDoorbell? _doorbell;
    private string _name = "";

    public override void SetUp(IVirtioTransport transport, ushort queue)
    {
        _name = transport.Name;
        _queue.DisableInterrupts();
        _doorbell = transport.SetUpQueue(queue, _queue.Memory, null);
    }

    public override bool Do(NetCommand command, ReadOnlySpan<byte> data)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(data.Length, MaxData);
        _memory[0] = command.Class;
        _memory[1] = command.Command;
        for (int i = 0; i < data.Length; i++) _memory[(uint)(HeaderBytes + i)] = data[i];
        _memory[AckAt] = Unanswered;
        int sent = _queue.Add(new VirtSegment(_memory.Iova, (uint)(HeaderBytes + data.Length)), new VirtSegment(_memory.Iova + AckAt, 1), 1);
        if (sent < 0) throw new DeviceFaultException($"{_name}: the control queue is full, of a command that was not answered [V §5.1.6.5]");
        if (_queue.Publish()) _doorbell!.Ring();
        Await(command);
        byte ack = Volatile.Read(ref _memory[AckAt]);
        return ack switch
        {
            Ok => true,
            Error => false,
            _ => throw new DeviceFaultException($"{_name}: command {command.Class}.{command.Command} was answered with {ack} [V §5.1.6.5]"),
        };
    }

    private void Await(NetCommand command)
    {
        long start = Stopwatch.GetTimestamp();
        while (_queue.Take(out _) < 0)
        {
            if (Stopwatch.GetElapsedTime(start) > s_limit)
                throw new DeviceFaultException($"{_name}: command {command.Class}.{command.Command} is not answered within {s_limit.TotalSeconds:0} s [V §5.1.6.5]");
            Thread.Yield();
        }
    }
}
