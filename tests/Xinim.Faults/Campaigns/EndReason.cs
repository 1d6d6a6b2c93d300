namespace Xinim.Faults.Campaigns;

/// <summary>Tells from the daemon's words how a driver ended.</summary>
internal static class EndReason
{
    public static Effect Classify(string? lastFault)
    {
        string reason = lastFault ?? "";
        bool Says(string text) => reason.Contains(text, StringComparison.Ordinal);
        // The daemon's own kill has its reason in front: "no answer to GetStatistics within 300 ms (killed by signal 9)".
        if (Says("no answer") || Says("heartbeat") || Says("did not end")) return Effect.Hang;
        if (Says("its client reports")) return Effect.Reported;
        if (Says("broke the protocol") || Says("could not be handled") || Says("does not detach")) return Effect.Protocol;
        return Says("killed by signal") ? Effect.Signal : Effect.Exit;
    }
}
