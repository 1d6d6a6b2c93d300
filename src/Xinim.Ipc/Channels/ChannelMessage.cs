using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace Xinim.Ipc.Channels;

/// <summary>A received message. Whoever takes a handle out of it owns that handle; <see cref="Dispose"/> closes the others.</summary>
public sealed class ChannelMessage : IDisposable
{
    private readonly byte[] _payload;
    private readonly SafeFileHandle?[] _handles;

    internal ChannelMessage(MessageHeader header, byte[] payload, SafeFileHandle?[] handles)
    {
        Header = header;
        _payload = payload;
        _handles = handles;
    }

    public MessageHeader Header { get; }

    public ReadOnlySpan<byte> Payload => _payload;

    public int HandleCount => _handles.Length;

    /// <summary>The payload as UTF-8, for reasons and reports.</summary>
    public string Text => Encoding.UTF8.GetString(_payload);

    /// <summary>The start of the payload as a struct.</summary>
    /// <exception cref="ChannelException">The payload is shorter.</exception>
    public T Get<T>()
        where T : unmanaged
        => _payload.Length >= Unsafe.SizeOf<T>()
            ? MemoryMarshal.Read<T>(_payload)
            : throw new ChannelException($"message {Header.Type} has {_payload.Length} bytes, {typeof(T).Name} takes {Unsafe.SizeOf<T>()}");

    /// <summary><paramref name="count"/> structs from <paramref name="offset"/> on.</summary>
    /// <exception cref="ChannelException">The payload ends before.</exception>
    public ReadOnlySpan<T> GetMany<T>(int offset, int count)
        where T : unmanaged
    {
        if (count < 0 || offset < 0 || offset + ((long)count * Unsafe.SizeOf<T>()) > _payload.Length)
            throw new ChannelException($"message {Header.Type} has {_payload.Length} bytes, {count} × {typeof(T).Name} from {offset} do not fit");
        return MemoryMarshal.Cast<byte, T>(_payload.AsSpan(offset, count * Unsafe.SizeOf<T>()));
    }

    /// <summary>Moves a handle out of the message.</summary>
    /// <exception cref="ChannelException">The message carries fewer, or it was taken.</exception>
    public SafeFileHandle TakeHandle(int index)
    {
        if (index < 0 || index >= _handles.Length || _handles[index] is not { } handle)
            throw new ChannelException($"message {Header.Type} carries {_handles.Length} descriptors, number {index} is not there");
        _handles[index] = null;
        return handle;
    }

    public void Dispose()
    {
        foreach (SafeFileHandle? handle in _handles) handle?.Dispose();
    }
}

/// <summary>In front of every message.</summary>
/// <param name="Type">What it is; the protocol's enum.</param>
/// <param name="Generation">Life of the driver that it concerns; a message of another life is dropped.</param>
/// <param name="Request">Chosen by the asker, repeated by the answer; 0 for what needs none.</param>
/// <param name="Unit">Which of a device's units is meant, from 0 on; 0 too where there is one, and for what concerns all.</param>
[StructLayout(LayoutKind.Sequential)]
public readonly record struct MessageHeader(uint Type, uint Generation, uint Request, uint Unit = 0);

/// <summary>The peer of a channel broke the protocol, closed it, or does not read.</summary>
public sealed class ChannelException(string message) : Exception(message);
