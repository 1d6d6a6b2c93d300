using System.Runtime.InteropServices;
using Xinim.Drivers;
using Xinim.Drivers.Virtio;
using Xinim.Faults.Traffic;
using Xinim.Ipc.Memory;
using Xinim.TestKit.Virtio;
using Xinim.Vfio.Dma;

namespace Xinim.Faults.Model;

/// <summary>A real virtio driver's code on a device model that lies to it.</summary>
internal abstract class VirtioModelBench : IModelBench
{
    /// <summary>What every device here has [V §6]. [V] = Virtual I/O Device (VIRTIO) Version 1.2.</summary>
    protected const VirtioFeatures Bus = VirtioFeatures.Version1 | VirtioFeatures.AccessPlatform;

    /// <summary>Entries of a queue.</summary>
    public const uint Entries = 32;

    /// <summary>Buffers taken from a queue at a time: an index gone wild must not hold the campaign up.</summary>
    private const int Batch = 256;

    private const uint MostBytes = 1 << 17;
    private const int Storm = 100;

    private readonly Queue<int> _raised = new();
    private readonly DmaRegion _work;

    protected VirtioModelBench(VirtioModelOptions options)
    {
        Model = new VirtioModel(options);
        _work = Model.Dma.Map("work", 1 << 18, RegionAccess.ReadWrite);
        Arena = new DmaArena(_work);
        Model.Interrupt = vector =>
        {
            if (!LosesInterrupts) _raised.Enqueue(vector);
        };
        Model.Notify = queue =>
        {
            if (Answers(queue)) Guard(() => Serve(queue));
        };
    }

    public VirtioModel Model { get; }

    public abstract StreamCounts Sent { get; }

    public abstract StreamCounts Received { get; }

    public abstract string? Breach { get; }

    /// <summary>The device does nothing.</summary>
    public bool Silent { get; set; }

    public bool LosesInterrupts { get; set; }

    public bool Storms { get; set; }

    /// <summary>What the device says that it wrote, from what it did; null for the truth.</summary>
    public Func<uint, uint>? Written { get; set; }

    /// <summary>Done once, when the device is about to look at what the driver gave it.</summary>
    public Action? Ambush { get; set; }

    /// <summary>What it used last.</summary>
    public uint LastUsed { get; private set; }

    /// <summary>Queues whose used entries it may lie about.</summary>
    public abstract IReadOnlyList<ushort> Queues { get; }

    /// <summary>Memory that the device writes what is received to.</summary>
    public abstract Span<byte> Memory { get; }

    /// <summary>The driver's descriptors, rings and tables.</summary>
    public Span<ulong> WorkWords => MemoryMarshal.Cast<byte, ulong>(_work.Memory!.Slice(0, (int)(_work.Size - Arena.Free)));

    protected DmaArena Arena { get; }

    /// <summary>The driver's memory, where the device sees it at <paramref name="at"/>; empty where that is elsewhere.</summary>
    protected Span<byte> WorkAt(ulong at, int bytes)
        => at >= _work.Iova.Value && at + (ulong)bytes <= _work.Iova.Value + (ulong)_work.Size ? _work.Memory!.Slice((long)(at - _work.Iova.Value), bytes) : [];

    protected abstract IDriver Driver { get; }

    public abstract void Start();

    public abstract void Arrive();

    public void Turn()
    {
        Poll();
        Driver.ArmInterrupts();
        Poll();
        for (int i = 0; Storms && i < Storm; i++) Driver.OnInterrupt(i % 3);
        while (_raised.TryDequeue(out int vector)) Driver.OnInterrupt(vector);
        Take();
    }

    public virtual void OnTimer() => Driver.OnTimer();

    public void Relent()
    {
        (Silent, LosesInterrupts, Storms, Written) = (false, false, false, null);
        Model.Misbehaviour = VirtioMisbehaviour.None;
        RelentFurther();
    }

    public virtual void Succeed()
    {
    }

    public virtual void Dispose() => Model.Dispose();

    /// <summary>What a device of this type can do wrong besides.</summary>
    protected abstract void RelentFurther();

    /// <summary>The four verbs of the host's loop.</summary>
    protected abstract void Poll();

    /// <summary>What the client gets.</summary>
    protected abstract void Take();

    /// <summary>Whether the device uses buffers of this queue when it is told of them, and not when something comes.</summary>
    protected virtual bool Answers(ushort queue) => true;

    /// <summary>The device does what one buffer wants.</summary>
    /// <returns>Bytes written.</returns>
    protected abstract uint Do(ushort queue, DeviceChain chain);

    /// <summary>Whatever the model does wrong of what it was made to believe is no fault of its driver, on whose stack it runs.</summary>
    protected static void Guard(Action act)
    {
        try
        {
            act();
        }
        catch (Exception exception) when (exception is ArithmeticException or ArgumentException or IndexOutOfRangeException or InvalidOperationException)
        {
            // What it did not do is missing.
        }
    }

    /// <summary>The device works on what it finds in a queue.</summary>
    protected void Serve(ushort number)
    {
        if (Silent || Model.Queue(number) is not { } queue) return;
        Action? ambush = Ambush;
        Ambush = null;
        ambush?.Invoke();
        for (int count = 0; count < Batch && Next(queue) is { } chain; count++)
        {
            bool sane = chain.ReadableBytes <= MostBytes && chain.WritableBytes <= MostBytes;
            Use(queue, chain, sane ? Do(number, chain) : 0);
        }

        _ = Model.Flush(number);
    }

    protected void Use(DeviceQueue queue, DeviceChain chain, uint written)
    {
        LastUsed = chain.Id;
        queue.Use(chain, Written?.Invoke(written) ?? written);
    }

    /// <summary>Whoever asks for notifications looks once more [V §2.7.10].</summary>
    private static DeviceChain? Next(DeviceQueue queue)
    {
        if (queue.Pop() is { } chain) return chain;
        queue.WantNotifications(true);
        return queue.Pop();
    }
}
