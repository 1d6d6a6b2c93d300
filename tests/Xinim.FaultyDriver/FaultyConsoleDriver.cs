using Xinim.Drivers;
using Xinim.Drivers.Console;
using Xinim.Ipc.Protocols;
using Xinim.Ipc.Rings;

namespace Xinim.FaultyDriver;

/// <summary>A console device's working driver that does on command what no driver should.</summary>
internal sealed class FaultyConsoleDriver : IConsoleDriver
{
    private readonly Mischief _mischief;
    private readonly IConsoleDriver _inner;

    /// <param name="make">Makes the one that works.</param>
    public FaultyConsoleDriver(DriverContext context, Func<DriverContext, IConsoleDriver> make)
    {
        _mischief = new Mischief(context);
        _inner = make(context);
    }

    public bool TxBusy => _inner.TxBusy;

    public ConsoleStatistics Statistics => _inner.Statistics;

    public ConsoleDeviceInfo Start() => _inner.Start();

    /// <summary>The first that the loop calls: commands are obeyed here.</summary>
    public bool PollControl()
    {
        _mischief.Obey();
        return _inner.PollControl();
    }

    public bool TryTakeChange(out ConsolePortInfo port) => _inner.TryTakeChange(out port);

    public void Open(uint port, uint incarnation, ulong session) => _inner.Open(port, incarnation, session);

    public void Close(uint port) => _inner.Close(port);

    public uint Transmit(uint port, RingConsumer<ConsoleChunk> submitted) => _mischief.Withholds ? 0 : _inner.Transmit(port, submitted);

    public uint Receive(uint port, RingProducer<ConsoleChunk> received) => _mischief.Withholds ? 0 : _inner.Receive(port, received);

    public void StopIntake() => _inner.StopIntake();

    public void ArmInterrupts() => _inner.ArmInterrupts();

    public void MaskInterrupts() => _inner.MaskInterrupts();

    public void OnInterrupt(int vector) => _inner.OnInterrupt(vector);

    public void OnTimer() => _inner.OnTimer();

    public void Stop() => _inner.Stop();

    public void Dispose() => _inner.Dispose();
}
