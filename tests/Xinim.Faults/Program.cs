using Xinim.Faults;

return FaultsCommand.Create().Parse(args).Invoke();
