using System.Diagnostics;
using Xinim.Ipc.Protocols;

namespace Xinim.Drivers.Hosting;

/// <summary>
/// Measures how long a transmit buffer is with the device, one buffer at a time: from the end of the pass that took it from the ring to the
/// end of the pass that gave it back. Buffers come back in order, so a position does for a mark; while one is under way, the others cost an
/// addition a pass. Where a driver gives them back out of order, the figure is that of the buffer's place.
/// </summary>
internal sealed class TransmitSampler(VitalSigns signs)
{
    private uint _taken;
    private uint _returned;
    private uint _mark;
    private long _since;

    /// <summary>The driver took buffers from the ring.</summary>
    public void OnTaken(uint count)
    {
        if (_since == 0 && count != 0)
        {
            _mark = _taken;
            _since = Stopwatch.GetTimestamp();
        }

        _taken += count;
    }

    /// <summary>The driver gave buffers back.</summary>
    public void OnReturned(uint count)
    {
        _returned += count;
        if (_since == 0 || count == 0 || (int)(_returned - _mark) <= 0) return;
        signs.AddLatency(Stopwatch.GetElapsedTime(_since).Ticks * TimeSpan.NanosecondsPerTick);
        _since = 0;
    }

    /// <summary>Nothing is with the device any more.</summary>
    public void Forget()
    {
        _since = 0;
        _taken = _returned = 0;
    }
}
