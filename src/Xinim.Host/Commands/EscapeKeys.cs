namespace Xinim.Host.Commands;

/// <summary>The way out of a terminal that sends every key: Ctrl-] and then q; Ctrl-] twice sends one.</summary>
internal sealed class EscapeKeys
{
    private const byte Escape = 0x1d, Leave = (byte)'q'; // Ctrl-]

    private bool _escaped;

    /// <param name="keys">As typed.</param>
    /// <param name="send">What of it is meant for the other side.</param>
    /// <returns>False where the user leaves; what was typed behind that is nothing.</returns>
    public bool Take(ReadOnlySpan<byte> keys, out byte[] send)
    {
        List<byte> typed = [];
        bool leaves = false;
        foreach (byte key in keys)
        {
            if (_escaped)
            {
                _escaped = false;
                leaves = key == Leave;
                if (leaves) break;
                if (key != Escape) typed.Add(Escape);
                typed.Add(key);
            }
            else if (key == Escape)
            {
                _escaped = true;
            }
            else
            {
                typed.Add(key);
            }
        }

        send = [.. typed];
        return !leaves;
    }
}
