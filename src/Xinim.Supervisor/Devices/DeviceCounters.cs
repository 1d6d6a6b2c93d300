using System.Diagnostics;
using System.Runtime.InteropServices;
using Xinim.Ipc.Channels;
using Xinim.Ipc.Protocols;

namespace Xinim.Supervisor.Devices;

/// <summary>The sum of all drivers' counters of one device: words in the order of its class's struct.</summary>
/// <param name="names">What the words count, in that order.</param>
internal sealed class DeviceCounters(ManagedDevice device, IReadOnlyList<string> names)
{
    /// <summary>Questions for counters that wait for the driver; those beyond are answered with what is known.</summary>
    private const int MaxCurious = 64;

    private readonly Queue<Action<byte[]>> _curious = [];
    private readonly ulong[] _carried = new ulong[names.Count];
    private ulong[] _current = new ulong[names.Count];

    /// <summary>When a driver was asked last, a timestamp of <see cref="Stopwatch"/>.</summary>
    public long Time { get; private set; }

    /// <summary>As last asked, by name.</summary>
    public IReadOnlyDictionary<string, ulong> ByName => Sum().Zip(names).ToDictionary(pair => pair.Second, pair => pair.First);

    /// <summary>Asks the driver; answers with the class's struct as bytes, of what is known where none is ready, or it dies over it.</summary>
    public void Refresh(Action<byte[]> answer)
    {
        if (_curious.Count >= MaxCurious)
        {
            answer(Known());
            return;
        }

        _curious.Enqueue(answer);
        // One question at a time, however many want to know: a client must not be able to fill the driver's channel.
        if (_curious.Count == 1 && !device.TryAsk(ControlMessage.GetStatistics, OnAnswer)) AnswerCurious();
    }

    /// <summary>The next driver counts from 0.</summary>
    public void Carry()
    {
        for (int i = 0; i < _carried.Length; i++) _carried[i] += _current[i];
        Array.Clear(_current);
    }

    /// <summary>Answers everybody who waits.</summary>
    public void AnswerCurious()
    {
        byte[] known = Known();
        // An answer can bring the next question: that one waits for its own turn.
        for (int count = _curious.Count; count > 0; count--) _curious.Dequeue()(known);
    }

    private void OnAnswer(ChannelMessage reply)
    {
        if (reply.Header.Type != (uint)ControlMessage.Statistics) throw new ChannelException($"answer {reply.Header.Type} to GetStatistics");
        _current = reply.GetMany<ulong>(0, _current.Length).ToArray();
        Time = Stopwatch.GetTimestamp();
        AnswerCurious();
    }

    private ulong[] Sum() => [.. _carried.Zip(_current, (before, now) => before + now)];

    private byte[] Known() => MemoryMarshal.AsBytes<ulong>(Sum()).ToArray();
}
