using System.Runtime.InteropServices;
using Xinim.Ipc.Protocols;

namespace Xinim.Drivers.Block.Ahci;

/// <summary>Packet devices: a drive is there, its medium comes and goes, and the unit with it [ACS §7].</summary>
internal sealed partial class AhciPort
{
    /// <summary>Between two looks for a medium.</summary>
    private const int MediumSeconds = 2;

    /// <summary>Drives tell of a change, or of a reset, by failing the next command once.</summary>
    private const int MaxAttentions = 3;

    private bool _packet;
    private int _attentions;
    private long _mediumSince;

    private AtaModes PacketModes => new(false, _options.Dma && _disk is { Dma: true }, false, 1, Packet: true);

    private void OnPacketIdentified()
    {
        Span<ushort> words = stackalloc ushort[AtaIdentity.Words];
        CopyPage(words);
        AtaIdentity drive = AtaIdentity.ParsePacket(words, out string? wrong);
        if (wrong is not null)
        {
            Refuse($"has a packet device that cannot be used: {wrong}");
            return;
        }

        bool same = _packet && _disk is { } old && old.Serial == drive.Serial && old.Model == drive.Model;
        if (!same) _queue.AbandonWaiting(BlockStatus.NoMedium);
        (_disk, _packet, _resets, _attentions) = (drive, true, 0, 0);
        Enter(PortState.Ready);
        _jobs |= PortJobs.Capacity;
        if (!same) _log($"{_name}: {drive.Model}, {drive.Serial}, firmware {drive.Firmware}, a drive for media, {_hardware.Speed}, {(PacketModes.Dma ? "DMA" : "PIO")}");
    }

    private void AskCapacity()
    {
        if (_clock.GetElapsedTime(_mediumSince).TotalSeconds < MediumSeconds) return;
        _mediumSince = _clock.GetTimestamp();
        _attentions = 0;
        _jobs |= PortJobs.Capacity;
        Feed();
    }

    private void OnCapacity()
    {
        Span<ushort> answer = stackalloc ushort[(int)PacketCommand.CapacityBytes / sizeof(ushort)];
        CopyPage(answer);
        if (PacketCommand.ParseCapacity(MemoryMarshal.AsBytes(answer)) is not { } medium)
        {
            LoseMedium();
            return;
        }

        if (_info.Blocks == medium.Blocks && _info.LogicalBlockBytes == medium.BlockBytes) return;
        _queue.AbandonWaiting(BlockStatus.NoMedium);
        _queue.Configure(PacketModes, _disk!.Value, medium.BlockBytes);
        SetInfo(_disk!.Value.Describe(PacketModes, medium));
    }

    private void OnCapacityFailed(TaskFile status)
    {
        if (PacketCommand.SenseKey(status) == PacketCommand.UnitAttention && ++_attentions < MaxAttentions) _jobs |= PortJobs.Capacity;
        else LoseMedium();
    }

    /// <summary>A medium that is gone or another one ends what was asked of it.</summary>
    private void BlamePacket(TaskFile status)
    {
        bool gone = PacketCommand.SenseKey(status) is PacketCommand.NotReady or PacketCommand.UnitAttention;
        _queue.Blame(_queue.OnlyWaiting, gone ? BlockStatus.NoMedium : BlockStatus.IoError, status, null);
        if (!gone) return;
        LoseMedium();
        _attentions = 0;
        _jobs |= PortJobs.Capacity;
    }

    private void LoseMedium()
    {
        _queue.AbandonWaiting(BlockStatus.NoMedium);
        if (!_info.Has(BlockFeatures.Absent)) SetInfo(new BlockDeviceInfo { Features = BlockFeatures.Absent });
    }
}
