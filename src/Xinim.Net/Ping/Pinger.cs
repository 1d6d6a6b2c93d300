using System.Diagnostics;
using Xinim.Ipc.Protocols;
using Xinim.Net.Ip;
using Xinim.Net.Ports;

namespace Xinim.Net.Ping;

/// <summary>Sends echo requests and times the answers, over a NIC's rings and nothing else.</summary>
public sealed class Pinger
{
    /// <summary>
    /// How long to look for an answer before sleeping, 100 µs: a near answer is timed without this process's own wake-up in it, and a driver
    /// that was woken on this very processor does not wait for long.
    /// </summary>
    private static readonly long SpinTicks = Stopwatch.Frequency / 10_000;

    private readonly Ipv4Station _station;
    private readonly PingOptions _options;
    private readonly MacAddress _hop;
    private readonly Action<PingReply>? _onReply;
    private readonly PingTally _tally = new();
    private readonly ushort _identifier = (ushort)Random.Shared.Next();
    private readonly byte[] _frame;
    private readonly byte[] _data;
    private long _nextSend;
    private long _lastSent;

    /// <param name="station">With an address.</param>
    /// <param name="hop">Hardware address of the target or of the gateway to it.</param>
    /// <param name="options">What to do.</param>
    /// <param name="onReply">Told of every answer.</param>
    public Pinger(Ipv4Station station, MacAddress hop, PingOptions options, Action<PingReply>? onReply = null)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)options.Size, (uint)PingOptions.MaxSize, nameof(options));
        _station = station;
        _options = options;
        _hop = hop;
        _onReply = onReply;
        _frame = new byte[EthernetFrame.HeaderBytes + Ipv4Packet.HeaderBytes + IcmpEcho.HeaderBytes + options.Size];
        _data = [.. Enumerable.Range(0, options.Size).Select(i => (byte)i)];
    }

    /// <summary>Pings until every request is answered or given up, or the user wants to end.</summary>
    public PingResult Run(CancellationToken stop)
    {
        NetworkPort port = _station.Port;
        _station.OnEcho = OnEcho;
        uint recoveries = port.Recoveries;
        long start = Stopwatch.GetTimestamp();
        long idleSince = start;
        _nextSend = start;
        while (!stop.IsCancellationRequested)
        {
            long now = Stopwatch.GetTimestamp();
            bool all = _options.Count != 0 && _tally.Transmitted == _options.Count;
            if (all && (_tally.Received == _tally.Transmitted || now >= _lastSent + Ticks(_options.Timeout))) break;
            if (!all && now >= _nextSend && TrySendEcho()) idleSince = now;
            if (_station.Poll()) idleSince = Stopwatch.GetTimestamp();
            else if (!_options.Spin && now - idleSince > SpinTicks) Sleep(now, all ? _lastSent + Ticks(_options.Timeout) : _nextSend);
            else Thread.Yield(); // the driver may have been woken on this very processor
        }

        _station.OnEcho = null;
        return _tally.Result(Stopwatch.GetElapsedTime(start), port.Recoveries - recoveries);
    }

    /// <summary>Sleeps to a whole millisecond before the next thing to do; the rest is spun away, for poll(2) knows no smaller times.</summary>
    private void Sleep(long now, long next)
    {
        TimeSpan left = TimeSpan.FromMilliseconds(Math.Floor(Stopwatch.GetElapsedTime(now, Math.Max(now, next)).TotalMilliseconds));
        if (left > TimeSpan.Zero) _station.Port.Wait(left < Ipv4Station.MaxWait ? left : Ipv4Station.MaxWait);
    }

    private bool TrySendEcho()
    {
        long now = Stopwatch.GetTimestamp();
        Span<byte> packet = EthernetFrame.Write(_frame, _hop, _station.Mac, EtherType.Ipv4);
        Span<byte> message = Ipv4Packet.Write(packet, IpProtocol.Icmp, _station.Configuration!.Address, _options.Target, IcmpEcho.HeaderBytes + _data.Length);
        _data.CopyTo(message[IcmpEcho.HeaderBytes..]);
        IcmpEcho.Write(message, isReply: false, _identifier, (ushort)_tally.Transmitted);
        if (!_station.TrySend(_frame))
        {
            // Every buffer waits for a driver that is being replaced.
            _station.Port.Wait(Ipv4Station.MaxWait);
            return false;
        }

        _lastSent = Stopwatch.GetTimestamp();
        _tally.Send(_lastSent);
        _station.Port.Flush();
        if (_options.Interval == TimeSpan.Zero) _nextSend = _lastSent + Ticks(_options.Timeout);
        else _nextSend = Math.Max(_nextSend + Ticks(_options.Interval), now);
        return true;
    }

    private void OnEcho(in Ipv4Packet packet, in IcmpEcho echo)
    {
        if (!echo.IsReply || echo.Identifier != _identifier || packet.Source != _options.Target) return;
        ReplyKind kind = _tally.Receive(echo.Sequence, _station.ReceivedAt, echo.Data.SequenceEqual(_data), out long roundTrip);
        if (kind is not (ReplyKind.Answer or ReplyKind.Duplicate)) return;
        bool last = echo.Sequence == (ushort)(_tally.Transmitted - 1);
        if (_options.Interval == TimeSpan.Zero && kind == ReplyKind.Answer && last) _nextSend = 0;
        _onReply?.Invoke(new PingReply(
            echo.Sequence, Stopwatch.GetElapsedTime(0, roundTrip), IcmpEcho.HeaderBytes + echo.Data.Length, packet.Hops, kind == ReplyKind.Duplicate));
    }

    private static long Ticks(TimeSpan time) => (long)(time.TotalSeconds * Stopwatch.Frequency);
}
