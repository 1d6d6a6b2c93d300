namespace Xinim.TestKit.Net;

/// <summary>What is behind a fake NIC: completes what it was sent and delivers answers.</summary>
/// <param name="answer">Frames that come back for a frame.</param>
public class Wire(Func<byte[], IEnumerable<byte[]>>? answer = null)
{
    /// <summary>One pass.</summary>
    /// <returns>True where anything moved.</returns>
    public virtual bool Poll(FakeNic nic)
    {
        bool moved = nic.Taken.Count != 0;
        while (nic.Frames.TryDequeue(out byte[]? frame))
        {
            foreach (byte[] reply in answer?.Invoke(frame) ?? []) nic.Deliver(reply);
        }

        // Last: whoever sees that a frame was sent may look at what became of it.
        nic.Complete();
        return moved;
    }
}
