using Xinim.Ipc.Protocols;
using Xinim.Ipc.Rings;

namespace Xinim.Drivers.Console;

/// <summary>
/// A driver of console devices: ports that carry bytes both ways, each with a client of its own or none. It copies between rings and memory of
/// its own, so the device never reaches a client's. What it notes in its work region lets its successor go on at the byte where it died.
/// </summary>
/// <remarks>Nonsense on a ring is a <see cref="RingException"/>: the host library gives that client up, and no other.</remarks>
public interface IConsoleDriver : IDriver
{
    /// <summary>Resets the device and brings it up, interrupts off.</summary>
    ConsoleDeviceInfo Start();

    /// <summary>Looks at what the device says of its ports.</summary>
    /// <returns>False where it has said nothing.</returns>
    bool PollControl();

    /// <summary>Takes the next port that is not as it was reported.</summary>
    /// <returns>False where there is none.</returns>
    bool TryTakeChange(out ConsolePortInfo port);

    /// <summary>Opens a port for a client, and tells the device.</summary>
    /// <param name="incarnation">As reported.</param>
    /// <param name="session">The client's; where the port's last one is the same, its stream goes on.</param>
    /// <exception cref="ArgumentException">There is no such port, or it is another one by now.</exception>
    void Open(uint port, uint incarnation, ulong session);

    /// <summary>Closes a port and forgets its stream. Idempotent.</summary>
    void Close(uint port);

    /// <summary>Gives bytes to the device as long as it has room and somebody is on the other side; releases what the device has taken.</summary>
    /// <returns>Bytes given and chunks released: 0 where nothing happened.</returns>
    uint Transmit(uint port, RingConsumer<ConsoleChunk> submitted);

    /// <summary>Puts received bytes on the ring as long as it has room. The device gets its buffers back when they are empty.</summary>
    /// <returns>Chunks published.</returns>
    uint Receive(uint port, RingProducer<ConsoleChunk> received);

    /// <summary>Nothing more is given to the device.</summary>
    void StopIntake();

    /// <summary>Bytes are with the device that it has not taken.</summary>
    bool TxBusy { get; }

    ConsoleStatistics Statistics { get; }
}
