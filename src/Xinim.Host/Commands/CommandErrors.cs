using System.Text.Json;
using Xinim.Block.Ports;
using Xinim.Ipc.Channels;
using Xinim.Ipc.Rings;
using Xinim.Net.Ports;
using Xinim.Serial.Ports;

namespace Xinim.Host.Commands;

/// <summary>What a command's failures become: one line, and 1, or 2 where the command line itself is wrong.</summary>
internal static class CommandErrors
{
    public const int Failed = 1;
    public const int Usage = 2;

    public static int Guard(CommandEnvironment environment, Func<int> action)
    {
        try
        {
            return action();
        }
        catch (UsageException exception)
        {
            return Say(environment, exception.Message, Usage);
        }
        catch (OperationCanceledException)
        {
            return Say(environment, "interrupted", Failed);
        }
        catch (JsonException exception)
        {
            return Say(environment, $"the daemon's answer cannot be read ({exception.Message}); is it of another version?", Failed);
        }
        catch (Exception exception) when (exception is NetworkPortException or ConsolePortException or BlockException or ChannelException or RingException or IOException or UnauthorizedAccessException)
        {
            return Say(environment, exception.Message, Failed);
        }
    }

    public static int Say(CommandEnvironment environment, string message, int status)
    {
        environment.Error.WriteLine($"xinim: {message.ReplaceLineEndings(" ")}");
        return status;
    }
}

/// <summary>The command line asks for what makes no sense.</summary>
internal sealed class UsageException(string message) : Exception(message);
