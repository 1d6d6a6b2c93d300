namespace Xinim.Drivers.Virtio;

/// <summary>Which vector tells what: one for configuration changes and one a queue where there are enough, otherwise shared [V §4.1.5.1.2].</summary>
/// <param name="vectors">That there are; 0 with INTx.</param>
/// <param name="queues">That raise interrupts.</param>
internal sealed class VirtioVectors(int vectors, int queues)
{
    /// <summary>Of configuration changes; null with INTx.</summary>
    public int? Configuration => vectors == 0 ? null : 0;

    /// <summary>Of a queue; null with INTx.</summary>
    public int? OfQueue(int queue) => vectors switch
    {
        0 => null,
        1 => 0,
        _ => vectors > queues ? queue + 1 : 1 + (queue % (vectors - 1)),
    };
}
