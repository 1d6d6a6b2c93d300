namespace Xinim.Supervisor.Status;

/// <summary>One port of a console device.</summary>
/// <param name="Name">Empty where the device gave it none.</param>
/// <param name="Console">Meant for a console.</param>
/// <param name="HostOpen">Somebody is connected on the other side.</param>
/// <param name="Columns">Of the terminal on the other side; 0 where that is not known.</param>
/// <param name="Rows">As <paramref name="Columns"/>.</param>
/// <param name="Client">Who holds it; null for nobody.</param>
public sealed record ConsolePortReport(uint Id, string Name, bool Console, bool HostOpen, ushort Columns, ushort Rows, string? Client);
