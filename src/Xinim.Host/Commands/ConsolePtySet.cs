using Xinim.Ipc;
using Xinim.Ipc.Native;
using Xinim.Serial.Ports;

namespace Xinim.Host.Commands;

/// <summary>Ports as pseudo-terminals, for programs that know nothing of Xinim.</summary>
internal sealed class ConsolePtySet : IDisposable
{
    private static readonly TimeSpan LookPeriod = TimeSpan.FromMilliseconds(100);

    /// <summary>Until a pseudo-terminal that is full is tried again: poll(2) says nothing of it.</summary>
    private static readonly TimeSpan RetryPeriod = TimeSpan.FromMilliseconds(5);

    private readonly List<Bridge> _bridges = [];
    private readonly List<string> _links = [];

    /// <param name="port">Owned.</param>
    /// <param name="link">A symbolic link to make; null for none.</param>
    /// <returns>What to tell the user.</returns>
    /// <exception cref="LinuxException">No pseudo-terminal can be had, or there is something where the link should be.</exception>
    public string Add(ConsolePort port, string? link)
    {
        Bridge bridge = new(port);
        _bridges.Add(bridge);
        if (link is null) return $"port {port.Info}: {bridge.Path}";
        try
        {
            File.CreateSymbolicLink(link, bridge.Path);
        }
        catch (IOException exception)
        {
            throw new LinuxException($"cannot make the link {link}: {exception.Message}; remove what is there, or name another path");
        }

        _links.Add(link);
        return $"port {port.Info}: {bridge.Path} ({link})";
    }

    /// <summary>Moves bytes until it is asked to end, or a port is gone.</summary>
    public void Run(CancellationToken stop)
    {
        using CancellationTokenSource end = CancellationTokenSource.CreateLinkedTokenSource(stop);
        Exception? problem = null;
        Thread[] threads = [.. _bridges.Select(bridge => new Thread(() =>
        {
            try
            {
                while (!end.IsCancellationRequested) bridge.Move();
            }
            catch (Exception exception) when (exception is ConsolePortException or LinuxException or Ipc.Rings.RingException)
            {
                Interlocked.CompareExchange(ref problem, exception, null);
                end.Cancel();
            }
        }))];
        foreach (Thread thread in threads) thread.Start();
        foreach (Thread thread in threads) thread.Join();
        if (problem is not null) throw problem;
    }

    public void Dispose()
    {
        foreach (string link in _links) File.Delete(link);
        foreach (Bridge bridge in _bridges) bridge.Dispose();
    }

    /// <summary>One port and its pseudo-terminal.</summary>
    private sealed class Bridge(ConsolePort port) : IDisposable
    {
        private readonly PseudoTerminal _pty = new();
        private readonly byte[] _piece = new byte[4096];
        private readonly byte[] _pending = new byte[4096];
        private int _pendingCount;
        private (ushort Columns, ushort Rows) _size;

        public string Path => _pty.Path;

        /// <summary>One round: sleeps until there is something to do.</summary>
        public void Move()
        {
            bool listens = port.WriteRoom >= _piece.Length;
            // With bytes waiting the port would not let anybody sleep.
            if (_pendingCount != 0) _ = Descriptor.Poll(RetryPeriod);
            TimeSpan limit = _pendingCount != 0 ? TimeSpan.Zero : LookPeriod;
            uint readable = listens ? port.Wait(limit, _pty.Master) : port.Wait(limit);
            if (readable != 0 && _pty.Read(_piece) is > 0 and int typed) _ = port.Write(_piece.AsSpan(0, typed));
            Deliver();
            if (_size == (port.Info.Columns, port.Info.Rows)) return;
            _size = (port.Info.Columns, port.Info.Rows);
            _pty.SetSize(_size.Columns, _size.Rows);
        }

        public void Dispose()
        {
            port.Dispose();
            _pty.Dispose();
        }

        /// <summary>What does not fit stays here, and the rest with the port: the other side has to wait.</summary>
        private void Deliver()
        {
            while (true)
            {
                if (_pendingCount == 0) _pendingCount = port.Read(_pending);
                if (_pendingCount == 0) return;
                int written = _pty.Write(_pending.AsSpan(0, _pendingCount));
                _pending.AsSpan(written, _pendingCount - written).CopyTo(_pending);
                _pendingCount -= written;
                if (written == 0) return;
            }
        }
    }
}
