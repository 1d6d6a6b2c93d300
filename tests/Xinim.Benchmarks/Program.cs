using BenchmarkDotNet.Running;
using Xinim.Benchmarks;
using Xinim.Benchmarks.Isolation;
using Xinim.Benchmarks.Virtio;

// "flood", "hop" and "vhost" are tools of scripts/bench.sh, "hop-driver" is hop's other process; everything else is BenchmarkDotNet's command line.
if (args is ["flood", ..]) return Flood.Run(args[1..]);
if (args is ["hop", ..]) return Hop.Run(args[1..]);
if (args is ["vhost", ..]) return VhostUserLoad.Run(args[1..]);
if (args is ["hop-driver"]) return HopPeer.Run();
BenchmarkSwitcher.FromAssembly(typeof(Flood).Assembly).Run(args);
return 0;
