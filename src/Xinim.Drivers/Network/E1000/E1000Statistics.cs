using Xinim.Ipc.Protocols;
using Xinim.Vfio.Registers;

namespace Xinim.Drivers.Network.E1000;

/// <summary>
/// Adds the device's counters up in 64 bits. They are cleared by being read and stick at their maximum [SDM §13.7]: once a second is often
/// enough, a gigabit link fills a 32-bit frame counter in 48 minutes.
/// </summary>
internal sealed class E1000Statistics(E1000Registers registers)
{
    private const uint FcsBytes = 4; // octet counters include it [SDM §13.7.31]

    private NetworkStatistics _sums;
    private Counter _missed;
    private Counter _crc;
    private Counter _alignment;
    private Counter _symbol;
    private Counter _receive;
    private Counter _length;
    private Counter _excessive;
    private Counter _late;

    /// <summary>What was collected.</summary>
    public NetworkStatistics Sums => _sums;

    /// <summary>Throws away what the counters hold: their first values are undefined [SDM §13.7].</summary>
    public void Discard()
    {
        NetworkStatistics kept = _sums;
        Collect();
        _sums = kept;
    }

    /// <summary>Reads, and by that clears, every counter.</summary>
    public void Collect()
    {
        uint received = registers.GoodReceived.ReadAndClear();
        uint sent = registers.GoodTransmitted.ReadAndClear();
        ulong receivedOctets = registers.ReceivedOctetsLow.Read() | ((ulong)registers.ReceivedOctetsHigh.ReadAndClear() << 32);
        ulong sentOctets = registers.TransmittedOctetsLow.Read() | ((ulong)registers.TransmittedOctetsHigh.ReadAndClear() << 32);
        _sums.RxFrames += received;
        _sums.TxFrames += sent;
        _sums.RxBytes += Payload(receivedOctets, received);
        _sums.TxBytes += Payload(sentOctets, sent);
        _sums.RxMulticast += registers.MulticastReceived.ReadAndClear();
        _sums.RxBroadcast += registers.BroadcastReceived.ReadAndClear();
        _sums.RxMissed += _missed.Take(registers.MissedPackets);
        _sums.RxCrcErrors += _crc.Take(registers.CrcErrors);
        _sums.RxLengthErrors += _length.Take(registers.LengthErrors);
        _sums.RxOtherErrors += _alignment.Take(registers.AlignmentErrors) + _symbol.Take(registers.SymbolErrors) + _receive.Take(registers.ReceiveErrors);
        _sums.TxErrors += _excessive.Take(registers.ExcessiveCollisions) + _late.Take(registers.LateCollisions);
    }

    private static ulong Payload(ulong octets, ulong frames) => octets > frames * FcsBytes ? octets - (frames * FcsBytes) : 0;

    /// <summary>
    /// An error counter. The manual says that reading clears it [SDM §13.7]; QEMU 7.2's models keep it. The second read tells which:
    /// a counter that still holds its value was not cleared, and then only the difference to the last time is new.
    /// </summary>
    private struct Counter
    {
        private uint _last;

        public uint Take(ReadToClearRegister<uint> register)
        {
            uint value = register.ReadAndClear();
            if (value == 0)
            {
                _last = 0;
                return 0;
            }

            uint again = register.ReadAndClear();
            if (again < value)
            {
                _last = 0;
                return value + again;
            }

            uint added = again >= _last ? again - _last : again;
            _last = again;
            return added;
        }
    }
}
