using Microsoft.Win32.SafeHandles;
using Xinim.Ipc.Native;
using Xinim.Vfio.Sockets;

namespace Xinim.Vfio.VhostUser;

/// <summary>
/// Vectors of a vhost-user device: eventfds that the back end signals for rings, each in a group of its own, because the configuration's vector
/// also tells of the back end's requests and of its end.
/// </summary>
internal sealed class VhostUserInterrupts : IDeviceInterrupts
{
    private readonly VhostUserDevice _device;
    private readonly SafeFileHandle[] _events;
    private readonly EventGroup[] _groups;
    private readonly bool[] _masked;
    private int? _configVector;

    public VhostUserInterrupts(VhostUserDevice device, int vectors)
    {
        _device = device;
        _events = [.. Enumerable.Range(0, vectors).Select(_ => Descriptor.CreateEvent())];
        _groups = [.. Enumerable.Range(0, vectors).Select(_ => new EventGroup())];
        _masked = new bool[vectors];
        for (int i = 0; i < vectors; i++) _groups[i].AddReadable(_events[i]);
    }

    public InterruptKind Kind => InterruptKind.MsiX;

    public int Count => _events.Length;

    public SafeFileHandle EventOf(int vector) => _groups[vector].Handle;

    /// <summary>What a ring is to signal.</summary>
    public SafeFileHandle TargetOf(int vector) => _events[vector];

    public bool IsMasked(int vector) => _masked[vector];

    /// <summary>The vector of configuration changes, of which the back end tells, and of its end.</summary>
    public void SetConfigVector(int? vector)
    {
        if (_configVector is { } former) Each(handle => _groups[former].Remove(handle));
        _configVector = vector;
        if (vector is not { } now) return;
        if (_device.Requests is { IsClosed: false } requests) _groups[now].AddReadable(requests.Handle);
        _groups[now].AddHangUp(_device.Socket);
    }

    /// <summary>Takes what was signalled. A configuration change is taken as well, and raises the vector once more: whoever looked before it was taken looks again.</summary>
    /// <exception cref="DeviceFaultException">The back end has gone.</exception>
    public void Acknowledge(int vector)
    {
        // Asked first: QEMU makes descriptors that it receives blocking, for all who hold them (io/channel-socket.c).
        if (Descriptor.Poll(0, _events[vector]) != 0) _ = Descriptor.Drain(_events[vector]);
        if (vector != _configVector) return;
        if (_device.Requests is { IsClosed: false } requests)
        {
            if (requests.Take()) Descriptor.Signal(_events[vector]);
            if (requests.IsClosed) _groups[vector].Remove(requests.Handle);
        }

        _device.ThrowIfGone();
    }

    /// <summary>Holds a vector back: its rings signal an eventfd that nobody reads. What was signalled already still shows.</summary>
    public void Mask(int vector) => SetMasked(vector, true);

    /// <summary>Lets it through again, and raises it once: what came meanwhile is looked for and not lost.</summary>
    public void Unmask(int vector)
    {
        if (SetMasked(vector, false)) Descriptor.Signal(_events[vector]);
    }

    public void Dispose()
    {
        foreach (EventGroup group in _groups) group.Dispose();
        foreach (SafeFileHandle handle in _events) handle.Dispose();
    }

    private bool SetMasked(int vector, bool masked)
    {
        if (_masked[vector] == masked) return false;
        _masked[vector] = masked;
        _device.Redirect(vector);
        return true;
    }

    private void Each(Action<SafeFileHandle> act)
    {
        if (_device.Requests is { IsClosed: false } requests) act(requests.Handle);
        act(_device.Socket);
    }
}
