using Xinim.Vfio.Sockets;
using static Xinim.Vfio.VhostUser.VhostUserProtocol;

namespace Xinim.Vfio.VhostUser;

/// <summary>
/// What the supervisor asks a new connection, one question at a time and never waiting longer than it is let: a back end may still be busy with
/// the former connection, and answers the first question only when it has done with that.
/// </summary>
internal sealed class VhostUserHandshake
{
    private readonly VhostUserLink _link;
    private VhostUserRequest _awaited;

    /// <exception cref="DeviceFaultException">The back end has closed the connection already.</exception>
    public VhostUserHandshake(VhostUserLink link)
    {
        _link = link;
        link.Send(VhostUserRequest.SetOwner);
        Await(VhostUserRequest.GetFeatures);
    }

    /// <summary>What both ends have.</summary>
    public VhostUserFeatures Features { get; private set; }

    /// <summary>Regions that the back end can have at a time.</summary>
    public int MemorySlots { get; private set; } = TableRegions;

    /// <summary>Goes on as far as there are answers.</summary>
    /// <returns>True when it is finished.</returns>
    /// <exception cref="DeviceFaultException">The back end is none that a driver can use; says why.</exception>
    public bool Advance(TimeSpan limit)
    {
        StreamSocket.Deadline deadline = StreamSocket.Deadline.In(limit);
        while (_awaited != VhostUserRequest.None)
        {
            if (!_link.TryReceiveNumber(_awaited, deadline, out ulong value)) return false;
            Take(value);
        }

        return true;
    }

    /// <summary>What a back end's offer leaves of what this front end makes use of; both ends of the socket come to the same.</summary>
    public static VhostUserFeatures Agree(ulong offered) => (VhostUserFeatures)offered & Supported;

    private void Take(ulong value)
    {
        switch (_awaited)
        {
            case VhostUserRequest.GetFeatures:
                if ((value & Version1Bit) == 0) throw new DeviceFaultException($"{_link.Name}: the back end offers 0x{value:x}, without VERSION_1; legacy devices are not driven");
                if ((value & ProtocolFeaturesBit) != 0) Await(VhostUserRequest.GetProtocolFeatures);
                else _awaited = VhostUserRequest.None;
                break;
            case VhostUserRequest.GetProtocolFeatures:
                Features = Agree(value);
                _link.Send(VhostUserRequest.SetProtocolFeatures, (ulong)Features);
                if (Features.HasFlag(VhostUserFeatures.MemorySlots)) Await(VhostUserRequest.GetMaxMemorySlots);
                else _awaited = VhostUserRequest.None;
                break;
            default:
                if (value == 0) throw new DeviceFaultException($"{_link.Name}: the back end takes no memory at all");
                MemorySlots = (int)Math.Min(value, int.MaxValue);
                _awaited = VhostUserRequest.None;
                break;
        }
    }

    private void Await(VhostUserRequest request)
    {
        _awaited = request;
        _link.Send(request);
    }
}
