using BenchmarkDotNet.Running;
using Xinim.Benchmarks;

// "flood" is a tool of scripts/bench.sh; everything else is BenchmarkDotNet's command line.
if (args is ["flood", ..]) return Flood.Run(args[1..]);
BenchmarkSwitcher.FromAssembly(typeof(Flood).Assembly).Run(args);
return 0;
