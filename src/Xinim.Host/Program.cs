using Xinim.Host.Commands;

return XinimCommand.Run(args, new CommandEnvironment());
