namespace Xinim.Ipc.Rings;

/// <summary>The peer of a ring wrote something that no correct peer writes. The ring is not usable any more; its memory was not left.</summary>
public sealed class RingException(string message) : Exception(message);
