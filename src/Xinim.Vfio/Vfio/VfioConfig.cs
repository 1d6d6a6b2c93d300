namespace Xinim.Vfio.Vfio;

/// <summary>Configuration space through the device descriptor.</summary>
internal sealed class VfioConfig(VfioDevice device) : IPciConfig
{
    public byte Read8(int offset) => (byte)device.ReadConfig(offset, 1);

    public ushort Read16(int offset) => (ushort)device.ReadConfig(offset, 2);

    public uint Read32(int offset) => device.ReadConfig(offset, 4);

    public void Write8(int offset, byte value) => device.WriteConfig(offset, 1, value);

    public void Write16(int offset, ushort value) => device.WriteConfig(offset, 2, value);

    public void Write32(int offset, uint value) => device.WriteConfig(offset, 4, value);
}
