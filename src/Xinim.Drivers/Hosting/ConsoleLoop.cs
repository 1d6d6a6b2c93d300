using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using Xinim.Drivers.Console;
using Xinim.Ipc.Channels;
using Xinim.Ipc.Events;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Protocols;
using Xinim.Ipc.Rings;

namespace Xinim.Drivers.Hosting;

/// <summary>The main loop of a console device's driver process: as many clients as there are ports, and no memory of theirs that the device reaches.</summary>
internal sealed class ConsoleLoop(LoopSetup setup, IConsoleDriver driver) : ServiceLoop(setup, driver)
{
    /// <summary>Of the device, handled before others have their turn.</summary>
    private const int MaxMessages = 64;

    private readonly Dictionary<uint, AttachedPort> _clients = [];
    private readonly List<(uint Port, AttachedPort Client, string Reason)> _broken = [];

    protected override byte[] BringUp()
    {
        ConsoleDeviceInfo info = driver.Start();
        return MemoryMarshal.AsBytes(new ReadOnlySpan<ConsoleDeviceInfo>(in info)).ToArray();
    }

    protected override Work Poll()
    {
        bool said = false;
        for (int count = 0; count < MaxMessages && driver.PollControl(); count++) said = true;
        if (said) ReportChanges();
        Work found = said ? Work.Device : Work.None;
        foreach ((uint port, AttachedPort client) in _clients)
        {
            try
            {
                uint sent = driver.Transmit(port, client.Rings.Submit), received = driver.Receive(port, client.Rings.Received);
                if ((sent | received) == 0) continue;
                client.Rings.Client.Ring();
                found = Work.Client;
            }
            catch (RingException exception)
            {
                _broken.Add((port, client, exception.Message));
            }
        }

        if (_broken.Count != 0) GiveUpBroken();
        return found;
    }

    protected override void PrepareToSleep()
    {
        foreach (AttachedPort client in _clients.Values) client.Rings.Own.PrepareToSleep();
    }

    protected override void Awake()
    {
        foreach (AttachedPort client in _clients.Values) client.Rings.Own.Awake();
    }

    protected override void StopIntake() => driver.StopIntake();

    protected override bool Drain()
    {
        bool moved = Poll() != Work.None;
        if (!moved) Thread.Yield();
        return moved || driver.TxBusy;
    }

    protected override void OnDrained()
    {
        foreach (AttachedPort client in _clients.Values) client.Rings.Client.Ring();
    }

    protected override void ReportChanges()
    {
        while (driver.TryTakeChange(out ConsolePortInfo port)) Tell(ControlMessage.PortChanged, port);
    }

    protected override bool Obey(ChannelMessage message)
    {
        switch ((ControlMessage)message.Header.Type)
        {
            case ControlMessage.OpenPort: Open(message); return true;
            case ControlMessage.ClosePort: Close(message.Get<uint>()); return true;
            default: return false;
        }
    }

    protected override byte[] ReadStatistics()
    {
        ConsoleStatistics statistics = driver.Statistics;
        return MemoryMarshal.AsBytes(new ReadOnlySpan<ConsoleStatistics>(in statistics)).ToArray();
    }

    protected override void DropClients()
    {
        foreach (AttachedPort client in _clients.Values) client.Dispose();
        _clients.Clear();
    }

    /// <summary>A port that is open gets fresh rings by this, if the session is the same.</summary>
    private void Open(ChannelMessage message)
    {
        OpenPortMessage what = message.Get<OpenPortMessage>();
        AttachedPort client = new(message, what, Events);
        try
        {
            driver.Open(what.Port, what.Incarnation, what.Session);
        }
        catch
        {
            client.Dispose();
            throw;
        }

        if (_clients.Remove(what.Port, out AttachedPort? former)) former.Dispose();
        _clients.Add(what.Port, client);
    }

    private void Close(uint port)
    {
        driver.Close(port);
        if (_clients.Remove(port, out AttachedPort? client)) client.Dispose();
    }

    /// <summary>The port stays open: its client may get fresh rings and go on.</summary>
    private void GiveUpBroken()
    {
        foreach ((uint port, AttachedPort client, string reason) in _broken)
        {
            _clients.Remove(port);
            TellText(ControlMessage.Log, $"the rings of port {port} are broken: {reason}");
            Tell(ControlMessage.PortFault, new PortFaultMessage(port, client.Session));
            client.Dispose();
        }

        _broken.Clear();
    }

    /// <summary>What is held for the client of a port.</summary>
    private sealed class AttachedPort : IDisposable
    {
        private readonly SharedRegion _memory;
        private readonly SafeFileHandle _own;
        private readonly SafeFileHandle _peer;
        private readonly IDisposable _watch;

        /// <param name="message">OpenPort, whose handles are taken.</param>
        public AttachedPort(ChannelMessage message, in OpenPortMessage what, EventLoop loop)
        {
            Session = what.Session;
            _memory = SharedRegion.Open(message.TakeHandle(0), what.RingsBytes, RegionAccess.ReadWrite);
            _own = message.TakeHandle(1);
            _peer = message.TakeHandle(2);
            Rings = new ConsoleRings.DriverEnd(_memory, what.Rings, _own, _peer);
            _watch = loop.Watch(_own, Rings.Own.TakeSignal);
        }

        public ulong Session { get; }

        public ConsoleRings.DriverEnd Rings { get; }

        public void Dispose()
        {
            _watch.Dispose();
            _own.Dispose();
            _peer.Dispose();
            _memory.Dispose();
        }
    }
}
