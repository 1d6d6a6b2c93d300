namespace Xinim.Vfio;

/// <summary>
/// The device did something that no working device does, or did not do in time what its manual says. A driver lets it escape: its process
/// ends with the message, and the supervisor starts another.
/// </summary>
public sealed class DeviceFaultException(string message) : Exception(message);
