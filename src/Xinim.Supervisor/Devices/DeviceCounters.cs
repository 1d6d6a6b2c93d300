using System.Diagnostics;
using System.Runtime.InteropServices;
using Xinim.Ipc.Channels;
using Xinim.Ipc.Protocols;

namespace Xinim.Supervisor.Devices;

/// <summary>The sums of all drivers' counters of one device, for each of its units: words in the order of its class's struct.</summary>
/// <param name="names">What the words count, in that order.</param>
internal sealed class DeviceCounters(ManagedDevice device, IReadOnlyList<string> names)
{
    /// <summary>Questions for counters that wait for the driver; those beyond are answered with what is known.</summary>
    private const int MaxCurious = 64;

    private readonly Queue<(int Unit, Action<byte[]> Answer)> _curious = [];
    private ulong[] _carried = new ulong[names.Count];
    private ulong[] _current = new ulong[names.Count];

    /// <summary>When a driver was asked last, a timestamp of <see cref="Stopwatch"/>.</summary>
    public long Time { get; private set; }

    /// <summary>As last asked, by name, of all units together.</summary>
    public IReadOnlyDictionary<string, ulong> ByName => names.Select((name, word) => (name, word)).ToDictionary(
        pair => pair.name, pair => Enumerable.Range(0, _current.Length / names.Count).Aggregate(0ul, (sum, unit) => sum + Sum(unit)[pair.word]));

    /// <summary>As last asked, by name.</summary>
    public IReadOnlyDictionary<string, ulong> Of(int unit) => Sum(unit).Zip(names).ToDictionary(pair => pair.Second, pair => pair.First);

    /// <summary>The device has so many units; it is told once, before anybody asks for one but the first.</summary>
    public void Extend(int units)
    {
        Array.Resize(ref _carried, units * names.Count);
        Array.Resize(ref _current, units * names.Count);
    }

    /// <summary>Asks the driver; answers with the class's struct as bytes, of what is known where none is ready, or it dies over it.</summary>
    public void Refresh(Action<byte[]> answer, int unit = 0)
    {
        if (_curious.Count >= MaxCurious)
        {
            answer(Known(unit));
            return;
        }

        _curious.Enqueue((unit, answer));
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
        // An answer can bring the next question: that one waits for its own turn.
        for (int count = _curious.Count; count > 0; count--)
        {
            (int unit, Action<byte[]> answer) = _curious.Dequeue();
            answer(Known(unit));
        }
    }

    private void OnAnswer(ChannelMessage reply)
    {
        if (reply.Header.Type != (uint)ControlMessage.Statistics) throw new ChannelException($"answer {reply.Header.Type} to GetStatistics");
        _current = reply.GetMany<ulong>(0, _current.Length).ToArray();
        Time = Stopwatch.GetTimestamp();
        AnswerCurious();
    }

    private ulong[] Sum(int unit)
    {
        Range words = new(unit * names.Count, (unit + 1) * names.Count);
        return [.. _carried[words].Zip(_current[words], (before, now) => before + now)];
    }

    private byte[] Known(int unit) => MemoryMarshal.AsBytes<ulong>(Sum(unit)).ToArray();
}
