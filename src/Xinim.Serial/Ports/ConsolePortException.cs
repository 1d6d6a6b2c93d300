namespace Xinim.Serial.Ports;

/// <summary>The port cannot be used, or not any more. The message is one line for the user.</summary>
public sealed class ConsolePortException(string message) : Exception(message);
