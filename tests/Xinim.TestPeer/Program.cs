using Microsoft.Win32.SafeHandles;
using Xinim.Ipc.Channels;
using Xinim.TestPeer;

// Descriptor 3 is the channel to the test (see PeerProcess), or to the supervisor.
using Channel channel = new(new SafeFileHandle(3, ownsHandle: true));
return args switch
{
    ["echo"] => EchoPeer.Run(channel),
    ["write-read-only"] => ReadOnlyPeer.Run(channel),
    ["report", ..] => ReportPeer.Run(channel, args),
    ["exit", var code] => int.Parse(code, System.Globalization.CultureInfo.InvariantCulture),
    ["lend", var socket] => LendPeer.Run(channel, socket),
    ["hang"] => HangPeer.Run(channel),
    _ => throw new ArgumentException($"unknown mode '{string.Join(' ', args)}'"),
};
