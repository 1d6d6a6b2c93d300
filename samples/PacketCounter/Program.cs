// Counts the frames that a NIC receives, by EtherType, for ten seconds. It runs as any user who may connect to the daemon's socket, and
// does not notice when the NIC's driver is killed meanwhile.
//
//   dotnet run --project samples/PacketCounter net0

using System.Buffers.Binary;
using System.Diagnostics;
using Xinim.Ipc;
using Xinim.Ipc.Protocols;
using Xinim.Net.Ports;

if (args.Length != 1)
{
    Console.Error.WriteLine("usage: PacketCounter NIC");
    return 2;
}

try
{
    using NetworkPort port = NetworkPort.Open(args[0]);
    port.SetFilters(new NetworkFilters { Flags = NetworkFilterFlags.Promiscuous });
    Console.WriteLine($"{args[0]}: {port.Info.Mac}, link {port.Link}");

    SortedDictionary<ushort, ulong> counts = [];
    ReceivedBuffer[] pieces = new ReceivedBuffer[64];
    for (long start = Stopwatch.GetTimestamp(); Stopwatch.GetElapsedTime(start) < TimeSpan.FromSeconds(10);)
    {
        uint count = port.Receive(pieces);
        if (count == 0)
        {
            // Nothing there: sleep until the driver rings.
            port.Wait(TimeSpan.FromMilliseconds(100));
            continue;
        }

        bool starts = true;
        foreach (ReceivedBuffer piece in pieces.AsSpan(0, (int)count))
        {
            ReadOnlySpan<byte> bytes = port.Data(piece);
            ushort type = starts && bytes.Length >= 14 ? BinaryPrimitives.ReadUInt16BigEndian(bytes[12..]) : (ushort)0;
            if (type != 0) counts[type] = counts.GetValueOrDefault(type) + 1;
            starts = (piece.Flags & NetFlags.More) == 0;
            // The buffer goes back to the driver; Flush hands over the whole batch.
            port.Recycle(piece.Slot);
        }

        port.Flush();
    }

    foreach ((ushort type, ulong frames) in counts) Console.WriteLine($"0x{type:x4}  {frames}");
    Console.WriteLine($"drivers replaced meanwhile: {port.Recoveries}");
    return 0;
}
catch (Exception exception) when (exception is NetworkPortException or LinuxException)
{
    Console.Error.WriteLine($"PacketCounter: {exception.Message}");
    return 1;
}
