using Xinim.Ipc.Protocols;

namespace Xinim.Drivers.Hosting;

/// <summary>What one client at a time has of a device: all of it, or one port. A class adds its pass over the rings.</summary>
/// <param name="number">What messages call it by.</param>
/// <param name="side">What moves its client's buffers.</param>
internal abstract class ServedUnit<TRings>(uint number, IClientSide side)
    where TRings : class, IDriverRings
{
    public uint Number => number;

    /// <summary>Null where nobody is attached.</summary>
    public AttachedClient<TRings>? Client { get; private set; }

    /// <summary>Why nobody can be attached; null where somebody can.</summary>
    public virtual string? Problem => null;

    /// <summary>The data path: one pass over all rings, rings the client if anything came for it.</summary>
    public abstract Work Pass(TRings rings);

    /// <inheritdoc cref="ServiceLoop.Drain"/>
    public abstract bool Drain(TRings rings);

    /// <param name="client">Owned from now on; on failure too.</param>
    /// <param name="what">It has and wishes for.</param>
    /// <param name="buffers">Its memory.</param>
    public void Attach(AttachedClient<TRings> client, in AttachMessage what, BufferTable buffers)
    {
        try
        {
            Prepare(what);
            side.Attach(buffers);
        }
        catch
        {
            client.Dispose();
            throw;
        }

        Client = client;
    }

    /// <summary>The device touches nothing of the client's any more when this returns.</summary>
    public void Detach()
    {
        if (Client is not { } client) return;
        Client = null;
        side.Detach();
        OnDetached();
        client.Dispose();
    }

    /// <summary>The process ends: the device is quiet already.</summary>
    public void Drop() => Client?.Dispose();

    /// <summary>A client is about to be attached.</summary>
    /// <exception cref="ArgumentException">It asks for what there is not.</exception>
    protected virtual void Prepare(in AttachMessage what)
    {
    }

    /// <summary>Nothing is with the device any more.</summary>
    protected abstract void OnDetached();
}
