using Xinim.Ipc.Channels;

namespace Xinim.Supervisor.Devices;

/// <summary>Text that a driver sent: drivers are not trusted with the layout or the size of logs and messages.</summary>
internal static class PeerText
{
    /// <summary>Characters that are kept: a reason fits, and what is made of it fits into a message.</summary>
    private const int Limit = 400;

    /// <summary>One line of bounded length without control characters.</summary>
    public static string OneLine(ChannelMessage message)
    {
        string text = message.Text;
        string line = new([.. text.Take(Limit).Select(letter => char.IsControl(letter) ? ' ' : letter)]);
        return line.Length < text.Length ? line + "…" : line;
    }
}
