namespace Xinim.Ipc.Memory;

/// <summary>What a holder may do with a region or a grant. Values travel in messages.</summary>
[Flags]
public enum RegionAccess : uint
{
    None = 0,
    Read = 1,
    Write = 2,
    ReadWrite = Read | Write,
}
