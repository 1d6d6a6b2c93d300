namespace Xinim.Drivers.Block;

/// <summary>A driver of a controller whose ports are disks: each is served, fails and comes back by itself, and has a client of its own.</summary>
public interface IBlockController : IDriver
{
    /// <summary>Resets the controller and brings up every port that something is connected to, interrupts off.</summary>
    /// <returns>One unit a port of the controller, in the order of their numbers. The list stays; disks come and go in it.</returns>
    IReadOnlyList<IControllerUnit> Start();
}
