using System.Buffers.Binary;
using System.Text;
using Xinim.Ipc.Protocols;
using Xinim.Vfio;

namespace Xinim.Drivers.Console.Virtio;

/// <summary>
/// The ports of a device, as its control messages make them come, change and go [V §5.3.6.2]. A message that cannot be one is a fault; one that
/// makes no sense now — of a port that is not there, unknown, with a name that is too long — is passed over and logged, since other
/// ports may be in good use. [V] = Virtual I/O Device (VIRTIO) Version 1.2.
/// </summary>
/// <param name="all">Those that are served, by number.</param>
/// <param name="most">Ports that the device says it can have.</param>
/// <param name="control">Null where there is one port, always.</param>
internal sealed class VirtioConsolePorts(string name, VirtioConsolePort[] all, uint most, VirtioConsoleControl? control, Action<string> log)
{
    /// <summary>In one second: the supervisor's patience with what it is told unasked is not the device's to use up.</summary>
    private const int MaxReports = 64, MaxLines = 16;

    private readonly byte[] _message = new byte[VirtioConsoleControl.BufferBytes];
    private int _reports;
    private int _lines;

    public IReadOnlyList<VirtioConsolePort> All => all;

    public VirtioConsoleControl? Control => control;

    public ulong Messages { get; private set; }

    public ulong Ignored { get; private set; }

    /// <summary>The driver is ready for ports.</summary>
    public void Begin()
    {
        if (control is null)
        {
            all[0].Add(ConsolePortFlags.Console | ConsolePortFlags.HostOpen);
            return;
        }

        control.Begin();
        control.Send(VirtioConsoleMessage.NoPort, ConsoleEvent.DeviceReady, true);
    }

    public bool PollControl()
    {
        if (control is null) return false;
        control.Flush();
        int length = control.Take(_message);
        if (length == 0) return false;
        Messages++;
        Handle(VirtioConsoleMessage.Read(_message), _message.AsSpan(VirtioConsoleMessage.Bytes, length - VirtioConsoleMessage.Bytes));
        return true;
    }

    public bool TryTakeChange(out ConsolePortInfo info)
    {
        info = default;
        if (_reports >= MaxReports) return false;
        foreach (VirtioConsolePort port in all)
        {
            if (!port.TryTakeChange(out info)) continue;
            _reports++;
            return true;
        }

        return false;
    }

    /// <inheritdoc cref="IConsoleDriver.Open"/>
    public void Open(uint port, uint incarnation, ulong session)
    {
        if (port >= all.Length || !all[port].Present || all[port].Info.Incarnation != incarnation) throw new ArgumentException($"port {port} is not there any more");
        if (session == 0) throw new ArgumentException("session 0 is nobody's");
        all[port].Open(session, dropStale: control is not null && !all[port].Info.Has(ConsolePortFlags.Console));
        control?.Send(port, ConsoleEvent.PortOpen, true);
    }

    /// <inheritdoc cref="IConsoleDriver.Close"/>
    public void Close(uint port)
    {
        if (port >= all.Length || !all[port].IsOpen) return;
        // First the device, so that what comes from now on is for nobody. A console stays open: its buffers hold what comes until there is a client.
        if (all[port].Present && !all[port].Info.Has(ConsolePortFlags.Console)) control?.Send(port, ConsoleEvent.PortOpen, false);
        all[port].Close();
    }

    public void SetSize(uint port, ushort columns, ushort rows) => (all[port].Info.Columns, all[port].Info.Rows) = (columns, rows);

    public void OnTimer()
    {
        _reports = _lines = 0;
        // What a client left behind when it went: nobody else looks at it.
        foreach (VirtioConsolePort port in all)
        {
            if (!port.IsOpen) _ = port.Tx.Return(null, 0);
        }
    }

    private void Handle(in VirtioConsoleMessage message, ReadOnlySpan<byte> rest)
    {
        if (message.Port >= most) throw new DeviceFaultException($"{name}: {message.Event} of port {message.Port}, where max_nr_ports is {most} [V §5.3.6.2]");
        if (message.Event == ConsoleEvent.DeviceAdd) Add(message.Port);
        else if (message.Port >= all.Length || !all[message.Port].Present) Ignore(message, "the port is not there");
        else Change(all[message.Port], message, rest);
    }

    private void Add(uint id)
    {
        if (id >= all.Length)
        {
            // The device is told that it cannot be used [V §5.3.6.2].
            Ignore(new VirtioConsoleMessage(id, ConsoleEvent.DeviceAdd, 0), $"only the first {all.Length} ports are served (option 'ports')");
            control!.Send(id, ConsoleEvent.PortReady, false);
            return;
        }

        if (all[id].Present)
        {
            Ignore(new VirtioConsoleMessage(id, ConsoleEvent.DeviceAdd, 0), "the port is there already");
            return;
        }

        all[id].Add(ConsolePortFlags.None);
        control!.Send(id, ConsoleEvent.PortReady, true);
    }

    private void Change(VirtioConsolePort port, in VirtioConsoleMessage message, ReadOnlySpan<byte> rest)
    {
        switch (message.Event)
        {
            case ConsoleEvent.DeviceRemove: port.Remove(); break;
            case ConsoleEvent.ConsolePort: // to be answered by PORT_OPEN [V §5.3.6.2.2]
                port.Info.Flags |= ConsolePortFlags.Console;
                control!.Send(port.Id, ConsoleEvent.PortOpen, true);
                break;
            case ConsoleEvent.PortOpen when message.Value == 0: port.Info.Flags &= ~ConsolePortFlags.HostOpen; break;
            case ConsoleEvent.PortOpen when message.Value == 1: port.Info.Flags |= ConsolePortFlags.HostOpen; break;
            case ConsoleEvent.Resize when rest.Length >= 4: // struct virtio_console_resize [V §5.3.6.2]
                SetSize(port.Id, BinaryPrimitives.ReadUInt16LittleEndian(rest), BinaryPrimitives.ReadUInt16LittleEndian(rest[2..]));
                break;
            case ConsoleEvent.PortName: Rename(port, message, rest); break;
            default: Ignore(message, $"value {message.Value}, {rest.Length} bytes behind it"); break;
        }
    }

    /// <summary>A name needs no end [V §5.3.6.2]; a zero byte is one all the same.</summary>
    private void Rename(VirtioConsolePort port, in VirtioConsoleMessage message, ReadOnlySpan<byte> rest)
    {
        int end = rest.IndexOf((byte)0);
        ReadOnlySpan<byte> bytes = end < 0 ? rest : rest[..end];
        string text = new([.. Encoding.UTF8.GetString(bytes).Select(sign => char.IsControl(sign) ? '?' : sign)]);
        if (bytes.Length > FixedText.Bytes) Ignore(message, $"the end of a name of more than {FixedText.Bytes} bytes");
        port.Info.Name = FixedText.Abbreviate(text);
    }

    private void Ignore(in VirtioConsoleMessage message, string why)
    {
        Ignored++;
        if (_lines++ < MaxLines) log($"passed over: {message.Event} of port {message.Port}: {why}");
    }
}
