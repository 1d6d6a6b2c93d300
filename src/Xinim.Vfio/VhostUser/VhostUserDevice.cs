using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using Xinim.Ipc.Native;
using Xinim.Vfio.Dma;
using Xinim.Vfio.Sockets;
using static Xinim.Vfio.VhostUser.VhostUserProtocol;

namespace Xinim.Vfio.VhostUser;

/// <summary>
/// A vhost-user device as its driver sees it: the questions and requests that are a driver's, over the connection that the supervisor made for
/// it. Memory is the supervisor's; a driver has no descriptor of any but its own.
/// </summary>
/// <remarks>Every method but the properties may throw <see cref="DeviceFaultException"/>: the back end refuses, talks nonsense, does not answer, or is gone.</remarks>
public sealed class VhostUserDevice : IDevice
{
    /// <summary>As many as anybody asks for; each costs two descriptors.</summary>
    private const int MaxVectors = 64;

    /// <summary>A ring's number stands in eight bits [VU SET_VRING_KICK].</summary>
    private const uint MaxRings = 256;

    private readonly VhostUserLink _link;
    private readonly EventGroup _end = new();

    /// <summary>What a ring signals that has no vector, or a masked one.</summary>
    private readonly SafeFileHandle _nobody = Descriptor.CreateEvent();
    private readonly Dictionary<uint, Ring> _rings = [];
    private readonly ulong _offered;
    private VhostUserInterrupts? _interrupts;
    private bool _ringsAreEnabled = true;

    private VhostUserDevice(VhostUserLink link, BackendRequests? requests)
    {
        _link = link;
        Requests = requests;
        Type = VhostUserAddress.TypeOf(link.Name) ?? throw new DeviceFaultException($"{link.Name} is no name of a vhost-user device");
        _end.AddHangUp(link.Handle);
        _offered = ReadFeatures();
        if ((_offered & ProtocolFeaturesBit) != 0) Protocol = VhostUserHandshake.Agree(_link.AskNumber(VhostUserRequest.GetProtocolFeatures));
        _link.Acknowledges = Protocol.HasFlag(VhostUserFeatures.ReplyAck);
        QueueCount = CountQueues();
    }

    public string Name => _link.Name;

    /// <summary>Virtio device type [V §5].</summary>
    public uint Type { get; }

    /// <summary>Eventfds, as many as are asked for up to a limit.</summary>
    public InterruptSupport Interrupts => new(false, 0, MaxVectors);

    /// <summary>What both ends of the socket have.</summary>
    public VhostUserFeatures Protocol { get; private set; }

    /// <summary>Queues of the device: what the back end says where it can, otherwise those that every device of the type has.</summary>
    public ushort QueueCount { get; }

    internal SafeFileHandle Socket => _link.Handle;

    internal BackendRequests? Requests { get; }

    /// <summary>Makes the device from what <see cref="VhostUserBackend.DriverHandles"/> holds.</summary>
    /// <param name="socket">To the back end; owned by the device, also on failure.</param>
    /// <param name="requests">For the back end's own requests, where it makes any; owned likewise.</param>
    /// <param name="name">Such as <c>vhost-user-net:/run/switch.sock</c>; says the type.</param>
    /// <param name="timeout">For one question; 2 s where not given.</param>
    public static VhostUserDevice FromHandles(SafeFileHandle socket, SafeFileHandle? requests, string name, TimeSpan? timeout = null)
    {
        VhostUserLink link = new(socket, name, timeout);
        try
        {
            return new VhostUserDevice(link, requests is null ? null : new BackendRequests(requests, name));
        }
        catch
        {
            link.Dispose();
            requests?.Dispose();
            throw;
        }
    }

    public IDeviceInterrupts EnableInterrupts(InterruptKind kind, int vectors)
    {
        if (kind != InterruptKind.MsiX || vectors is < 1 or > MaxVectors) throw new ArgumentException($"{Name} offers up to {MaxVectors} vectors of {InterruptKind.MsiX}, not {vectors} of {kind}", nameof(kind));
        return _interrupts = new VhostUserInterrupts(this, vectors);
    }

    /// <summary>The vector of configuration changes and of the back end's end; null for none.</summary>
    public void SetConfigVector(int? vector) => _interrupts?.SetConfigVector(vector);

    /// <summary>What the back end offers; bit 30, which says that protocol features follow, included.</summary>
    public ulong ReadFeatures() => _link.AskNumber(VhostUserRequest.GetFeatures);

    /// <summary>What the driver accepts. Bit 30 is added where it was offered: rings start disabled then, and are enabled one by one [VU Ring states].</summary>
    public void WriteFeatures(ulong features)
    {
        _ringsAreEnabled = (_offered & ProtocolFeaturesBit) == 0;
        _link.Do(VhostUserRequest.SetFeatures, features | (_offered & ProtocolFeaturesBit));
    }

    /// <summary>The device status as the back end keeps it. Only with <see cref="VhostUserFeatures.Status"/>.</summary>
    public byte ReadStatus() => (byte)_link.AskNumber(VhostUserRequest.GetStatus);

    /// <inheritdoc cref="ReadStatus"/>
    public void WriteStatus(byte status) => _link.Do(VhostUserRequest.SetStatus, (ulong)status);

    /// <summary>Gives the back end a ring and starts it: size, base, addresses, eventfds, enable, in the order in which QEMU does.</summary>
    /// <param name="size">Entries.</param>
    /// <param name="start">Of the indices: 0, and for a packed ring both wrap counters 1 [V §2.8.1].</param>
    /// <param name="available">Available ring, or the driver's event suppression.</param>
    /// <param name="used">Used ring, or the device's event suppression.</param>
    /// <param name="vector">What it signals; null for nothing.</param>
    /// <returns>The eventfd with which the back end is told of new buffers; owned by the device, until the ring is stopped.</returns>
    public SafeFileHandle StartRing(uint queue, uint size, uint start, Iova descriptors, Iova available, Iova used, int? vector)
    {
        if (queue >= QueueCount) throw new DeviceFaultException($"{Name} has {QueueCount} queues, no queue {queue}");
        if (vector is { } number && number >= (_interrupts?.Count ?? 0)) throw new DeviceFaultException($"{Name} has {_interrupts?.Count ?? 0} vectors, no vector {vector}");
        StopRing(queue);
        Ring ring = new(Descriptor.CreateEvent(), vector);
        _rings.Add(queue, ring);
        _link.Do(VhostUserRequest.SetVringNum, new RingState(queue, size));
        _link.Do(VhostUserRequest.SetVringBase, new RingState(queue, start));
        _link.Do(VhostUserRequest.SetVringAddress, new RingAddresses(queue, 0, descriptors.Value, used.Value, available.Value, 0));
        SetCall(queue, ring);
        _link.Do(VhostUserRequest.SetVringKick, (ulong)queue, ring.Kick);
        if (!_ringsAreEnabled) _link.Do(VhostUserRequest.SetVringEnable, new RingState(queue, 1));
        return ring.Kick;
    }

    /// <summary>Stops a ring, if it runs; the back end takes nothing more from it.</summary>
    public void StopRing(uint queue)
    {
        if (!_rings.Remove(queue, out Ring? ring)) return;
        using (ring.Kick)
        {
            if (!_ringsAreEnabled) _link.Do(VhostUserRequest.SetVringEnable, new RingState(queue, 0));
            RingState state = new(queue, 0);
            ReadOnlySpan<byte> answer = _link.Ask(VhostUserRequest.GetVringBase, MemoryMarshal.AsBytes(new ReadOnlySpan<RingState>(in state)));
            if (answer.Length != Marshal.SizeOf<RingState>() || MemoryMarshal.Read<RingState>(answer).Index != queue)
                throw _link.Fault(VhostUserRequest.GetVringBase, $"answered with {answer.Length} bytes, or for another ring than {queue}");
        }
    }

    /// <summary>Stops every ring, and has the back end forget what it can.</summary>
    public void Reset()
    {
        foreach (uint queue in _rings.Keys.ToArray()) StopRing(queue);
        if (Protocol.HasFlag(VhostUserFeatures.Status)) WriteStatus(0);
        if (Protocol.HasFlag(VhostUserFeatures.ResetDevice)) _link.Do(VhostUserRequest.ResetDevice);
    }

    /// <summary>Copies the configuration from its first byte: back ends disagree on what an offset means.</summary>
    /// <returns>False where the back end does not have that many bytes, or no configuration at all.</returns>
    public bool TryReadConfig(Span<byte> into)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(into.Length, MaxConfig);
        if (!Protocol.HasFlag(VhostUserFeatures.Config)) return false;
        ReadOnlySpan<byte> answer = _link.Ask(VhostUserRequest.GetConfig, ConfigMessage(0, new byte[into.Length]));
        // "Back-end uses zero length of payload to indicate an error" [VU GET_CONFIG]: of the message's, or of the configuration's.
        if (answer.Length == 0 || (answer.Length >= ConfigHeaderSize && MemoryMarshal.Read<uint>(answer[sizeof(uint)..]) == 0)) return false;
        if (answer.Length != ConfigHeaderSize + into.Length) throw _link.Fault(VhostUserRequest.GetConfig, $"answered with {answer.Length} bytes instead of {ConfigHeaderSize + into.Length}");
        answer[ConfigHeaderSize..].CopyTo(into);
        return true;
    }

    /// <summary>Writes a field of the configuration.</summary>
    public void WriteConfig(int offset, ReadOnlySpan<byte> value)
    {
        if (!Protocol.HasFlag(VhostUserFeatures.Config)) throw new DeviceFaultException($"{Name}: the back end has no configuration that could be written");
        if (offset < 0 || value.Length > MaxConfig || offset > MaxConfig - value.Length) throw new ArgumentOutOfRangeException(nameof(offset), offset, $"{value.Length} bytes there leave a configuration of {MaxConfig}");
        _link.Do(VhostUserRequest.SetConfig, ConfigMessage(offset, value));
    }

    /// <summary>A round trip: the back end has carried out what was sent before, by this process or by the supervisor.</summary>
    public void Synchronize() => _ = ReadFeatures();

    /// <exception cref="DeviceFaultException">The back end has closed the connection.</exception>
    public void ThrowIfGone()
    {
        if (Descriptor.Poll(0, _end.Handle) != 0) throw new DeviceFaultException($"{Name}: the back end has closed the connection");
    }

    public void Dispose()
    {
        _end.Dispose();
        _nobody.Dispose();
        _link.Dispose();
        Requests?.Dispose();
        foreach (Ring ring in _rings.Values) ring.Kick.Dispose();
    }

    /// <summary>A vector was masked or unmasked: its rings are told what to signal.</summary>
    internal void Redirect(int vector)
    {
        foreach ((uint queue, Ring ring) in _rings) if (ring.Vector == vector) SetCall(queue, ring);
    }

    private void SetCall(uint queue, Ring ring)
    {
        // The protocol can say "no descriptor"; libvhost-user then breaks on the first interrupt, which it writes to descriptor -1.
        bool silent = ring.Vector is not { } vector || _interrupts!.IsMasked(vector);
        _link.Do(VhostUserRequest.SetVringCall, (ulong)queue, silent ? _nobody : _interrupts!.TargetOf(ring.Vector!.Value));
    }

    private ushort CountQueues()
    {
        bool network = Type == 1;
        if (!Protocol.HasFlag(VhostUserFeatures.Multiqueue)) return (ushort)(network ? 2 : 1);
        ulong count = _link.AskNumber(VhostUserRequest.GetQueueNum);
        if (count == 0) throw new DeviceFaultException($"{Name}: the back end has no queues");
        // A network back end counts pairs (DPDK's rte_vhost_driver_get_queue_num, QEMU's net/vhost-user.c), every other one queues.
        return (ushort)Math.Min(MaxRings, network ? Math.Min(count, MaxRings) * 2 : count);
    }

    private static byte[] ConfigMessage(int offset, ReadOnlySpan<byte> value)
    {
        byte[] message = new byte[ConfigHeaderSize + value.Length];
        MemoryMarshal.Write(message, (uint)offset);
        MemoryMarshal.Write(message.AsSpan(sizeof(uint)), (uint)value.Length);
        value.CopyTo(message.AsSpan(ConfigHeaderSize));
        return message;
    }

    private sealed record Ring(SafeFileHandle Kick, int? Vector);
}
