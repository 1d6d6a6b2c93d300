using Microsoft.Win32.SafeHandles;
using Xinim.Ipc.Native;
using Xinim.Vfio;

namespace Xinim.TestKit.Fakes;

/// <summary>Interrupts of one kind with real eventfds, so that a test or a host loop can wait for them.</summary>
public sealed class FakeInterrupts : IDeviceInterrupts
{
    private readonly SafeFileHandle[] _events;
    private readonly bool[] _masked;
    private readonly bool[] _pending;

    public FakeInterrupts(InterruptKind kind, int count)
    {
        Kind = kind;
        _events = [.. Enumerable.Range(0, count).Select(_ => Descriptor.CreateEvent())];
        _masked = new bool[count];
        _pending = new bool[count];
        Raised = new int[count];
    }

    public InterruptKind Kind { get; }

    public int Count => _events.Length;

    /// <summary>How often each vector fired.</summary>
    public int[] Raised { get; }

    /// <summary>True after <see cref="IDisposable.Dispose"/>: interrupts are off.</summary>
    public bool Disposed { get; private set; }

    public SafeFileHandle EventOf(int vector) => _events[vector];

    public void Acknowledge(int vector)
    {
        _ = Take(vector);
        // VFIO masks INTx when it fires and sees it again at once if the line is still asserted.
        if (Kind == InterruptKind.Intx) Unmask(vector);
    }

    public void Mask(int vector) => _masked[vector] = true;

    public void Unmask(int vector)
    {
        _masked[vector] = false;
        if (!_pending[vector]) return;
        _pending[vector] = false;
        Fire(vector);
    }

    /// <summary>The device asserts the line, or sends the message.</summary>
    public void Raise(int vector)
    {
        if (_masked[vector]) _pending[vector] = true;
        else Fire(vector);
    }

    /// <summary>The device deasserts the line.</summary>
    public void Lower(int vector)
    {
        if (Kind == InterruptKind.Intx) _pending[vector] = false;
    }

    /// <summary>True where the event was set; takes it.</summary>
    public bool Take(int vector) => Descriptor.Drain(_events[vector]) != 0;

    public void Dispose()
    {
        Disposed = true;
        foreach (SafeFileHandle handle in _events) handle.Dispose();
    }

    private void Fire(int vector)
    {
        Raised[vector]++;
        if (Kind == InterruptKind.Intx) _masked[vector] = true;
        Descriptor.Signal(_events[vector]);
    }
}
