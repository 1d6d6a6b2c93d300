using System.CommandLine;
using Xinim.Host.Daemon;

RootCommand root = new("User-space device drivers in separate, unprivileged processes") { DaemonCommand.Create() };
return root.Parse(args).Invoke();
