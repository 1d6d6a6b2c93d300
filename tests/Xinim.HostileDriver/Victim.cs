using Microsoft.Win32.SafeHandles;
using Xinim.Ipc.Channels;
using Xinim.Ipc.Memory;
using Xinim.Ipc.Native;
using Xinim.Ipc.Protocols;

namespace Xinim.HostileDriver;

/// <summary>What the driver was given: whom it can talk to, and what it holds.</summary>
internal sealed class Victim
{
    private readonly Channel _supervisor;
    private readonly uint _generation;
    private readonly uint _startRequest;
    private readonly VitalSigns _heart;

    public Victim(Channel supervisor, ChannelMessage start, in StartMessage what)
    {
        _supervisor = supervisor;
        _generation = start.Header.Generation;
        _startRequest = start.Header.Request;
        Work = SharedRegion.Open(start.TakeHandle(0), (long)what.Work.Size, RegionAccess.ReadWrite);
        WorkIova = what.Work.Iova;
        Vital = SharedRegion.Open(start.TakeHandle(1), VitalSigns.Bytes, RegionAccess.ReadWrite);
        _heart = new VitalSigns(Vital);
        Device = start.TakeHandle(2);
        DeviceName = what.Device.ToString();
    }

    public SharedRegion Work { get; }

    public SharedRegion Vital { get; }

    public ulong WorkIova { get; }

    public SafeFileHandle Device { get; }

    public string DeviceName { get; }

    /// <summary>One line in the daemon's log.</summary>
    public void Say(string line) => _supervisor.SendText(new MessageHeader((uint)ControlMessage.Log, _generation, 0), line);

    /// <summary>Is a good driver from now on: the attack is over, and what it left behind must carry on.</summary>
    public int ServeToTheEnd()
    {
        _supervisor.Send(new MessageHeader((uint)ControlMessage.Ready, _generation, _startRequest), default(NetworkDeviceInfo));
        while (_supervisor.TryReceive(out ChannelMessage? message))
        {
            _heart.Beat();
            if (message is null)
            {
                Descriptor.Poll(100, _supervisor.Handle);
                continue;
            }

            using (message)
            {
                uint request = message.Header.Request;
                if (message.Header.Type == (uint)ControlMessage.GetStatistics)
                    _supervisor.Send(new MessageHeader((uint)ControlMessage.Statistics, _generation, request), default(NetworkStatistics));
                else _supervisor.Send(new MessageHeader((uint)ControlMessage.Done, _generation, request));
                if (message.Header.Type == (uint)ControlMessage.Stop) return 0;
            }
        }

        return 0;
    }
}
