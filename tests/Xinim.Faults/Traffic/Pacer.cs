using System.Diagnostics;

namespace Xinim.Faults.Traffic;

/// <summary>
/// How many frames a sender may send: at a rate, at most a window of them unseen by the receiver; and one now and then while nothing arrives, for
/// the loss of a whole window shows only when a later frame comes.
/// </summary>
/// <param name="stream">What is sent.</param>
/// <param name="rate">Frames a second; 0 for as many as the window allows.</param>
/// <param name="window">Frames on their way at the most.</param>
internal sealed class Pacer(FrameStream stream, double rate, uint window)
{
    private static readonly TimeSpan s_firstProbe = TimeSpan.FromMilliseconds(5);
    private static readonly TimeSpan s_lastProbe = TimeSpan.FromMilliseconds(100);

    private ulong _arrived;
    private long _progress = Stopwatch.GetTimestamp();
    private TimeSpan _probe = s_firstProbe;
    private double _credit;
    private long _last = Stopwatch.GetTimestamp();

    /// <summary>Frames that may go now.</summary>
    public uint Due(long now)
    {
        ulong arrived = stream.Arrived;
        if (arrived != _arrived)
        {
            _arrived = arrived;
            _progress = now;
            _probe = s_firstProbe;
        }

        ulong unseen = stream.Sent - arrived;
        _credit = Math.Min(window, _credit + (rate * Stopwatch.GetElapsedTime(_last, now).TotalSeconds));
        _last = now;
        uint due = rate <= 0 ? window : (uint)_credit;
        if (unseen < window) due = (uint)Math.Min(due, window - unseen);
        else due = Probe(now);
        _credit = Math.Max(0, _credit - due);
        return due;
    }

    private uint Probe(long now)
    {
        if (Stopwatch.GetElapsedTime(_progress, now) < _probe) return 0;
        _progress = now;
        _probe = _probe * 2 < s_lastProbe ? _probe * 2 : s_lastProbe;
        return 1;
    }
}
