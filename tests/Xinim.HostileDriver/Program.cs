using Microsoft.Win32.SafeHandles;
using Xinim.HostileDriver;
using Xinim.Ipc.Channels;
using Xinim.Ipc.Protocols;
using Xinim.Ipc.Sandboxing;

// A driver that speaks the control protocol as far as it takes to be given a device, and then does what the name of its manifest says.
using Channel channel = new(new SafeFileHandle(3, ownsHandle: true));
channel.SendText(new MessageHeader((uint)ControlMessage.Hello, 0, 0), "e1000");
using ChannelMessage start = channel.Receive(Timeout.InfiniteTimeSpan);
StartMessage what = start.Get<StartMessage>();
Victim victim = new(channel, start, what);
switch (what.Driver.ToString())
{
    // A version of the product's driver that introduces itself well and never becomes ready.
    case "e1000": return 9;
    case "escape": Escapes.TryAll(victim); break;
    case "escape-tight":
        SelfRestraint.Begin();
        SelfRestraint.Tighten();
        Escapes.TryAll(victim);
        break;
    case "runtime": Peace.Run(victim); break;
    case "memory": Exhaustion.Memory(victim); break;
    case "heap": Exhaustion.Heap(victim); break;
    case "descriptors": Exhaustion.Descriptors(victim); break;
    case "threads": Exhaustion.Threads(victim); break;
    case "processor": Exhaustion.Processor(); break;
    case "silent": Exhaustion.Silence(); break;
    case "flood": Exhaustion.Flood(victim); break;
    case "foreign-code": Exhaustion.ForeignCode(); break;
    case "block-probe": return BlockProbe.Run(victim, what.DeviceHandles > 1 ? start.TakeHandle(3) : null);
    case "device": DeviceEscapes.TryAll(victim); break;
    case var unknown: victim.Say($"there is no attack '{unknown}'"); break;
}

return victim.ServeToTheEnd();
