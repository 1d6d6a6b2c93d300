using System.Reflection;
using System.Text.RegularExpressions;
using Xunit;

namespace Xinim.Ipc.Tests.Interleaving;

/// <summary>
/// <see cref="RingModel"/> is a transcription: this holds the real code to the text that it was transcribed from. When a line here fails,
/// change the steps of the model that the line names, see <see cref="InterleavingTests"/> pass, and only then change the line.
/// </summary>
public sealed partial class TranscriptionTests
{
    [Theory]
    [InlineData("Look", "RingProducer", "uint free = Capacity - (_tail - _cachedHead); if (free < wanted) free = Refresh(); return Math.Min(free, wanted);")]
    [InlineData("Look", "RingProducer", "uint head = MemoryOrder.ObserveIndex(ref _header->Head); uint used = Used(head); _cachedHead = head; return Capacity - used;")]
    [InlineData("Look", "RingConsumer", "uint ready = _cachedTail - _head; if (ready < wanted) ready = Refresh(); return Math.Min(ready, wanted);")]
    [InlineData("Look", "RingConsumer", "uint tail = MemoryOrder.ObserveIndex(ref _header->Tail); uint ready = tail - _head;")]
    [InlineData("FirstWord, SecondWord", "RingProducer", "get => ref _elements[(_tail + index) & _mask];")]
    [InlineData("FirstWord, SecondWord", "RingConsumer", "public T Read(uint index) => _elements[(_head + index) & _mask];")]
    [InlineData("Publish", "RingProducer", "{ _tail += count; MemoryOrder.PublishIndex(ref _header->Tail, _tail); }")]
    [InlineData("Publish", "RingConsumer", "{ _head += count; MemoryOrder.PublishIndex(ref _header->Head, _head); }")]
    [InlineData("SetFlag, PrepareFence", "Doorbell", "{ Volatile.Write(ref *_wakeMe, 1); MemoryOrder.PublishBeforeWakeCheck(); }")]
    [InlineData("ClearFlag", "Doorbell", "public void Awake() => Volatile.Write(ref *_wakeMe, 0);")]
    [InlineData("Drain", "Doorbell", "public void TakeSignal() => Descriptor.Drain(Handle);")]
    [InlineData("RingFence, CheckFlag", "Doorbell", "{ MemoryOrder.PublishBeforeWakeCheck(); return Volatile.Read(ref *_wakeMe) != 0 && WakeUp(); }")]
    [InlineData("TakeFlag, Signal", "Doorbell", "if (Interlocked.Exchange(ref *_wakeMe, 0) == 0) return false; Descriptor.Signal(Handle); return true;")]
    [InlineData("Publish", "MemoryOrder", "public static void PublishIndex(ref uint index, uint value) => Volatile.Write(ref index, value);")]
    [InlineData("Look", "MemoryOrder", "public static uint ObserveIndex(ref uint index) => Volatile.Read(ref index);")]
    [InlineData("PrepareFence, RingFence", "MemoryOrder", "public static void PublishBeforeWakeCheck() => Interlocked.MemoryBarrier();")]
    public void The_model_is_still_what_the_code_does(string steps, string file, string code)
    {
        string source = Space().Replace(File.ReadAllText(Path.Combine(SourceFolder(), file + ".cs")), " ");
        Assert.True(source.Contains(code, StringComparison.Ordinal), $"{file}.cs does not say any more what the model's steps {steps} transcribe:\n{code}");
    }

    private static string SourceFolder()
    {
        string? folder = Path.GetDirectoryName(Assembly.GetExecutingAssembly().Location);
        while (folder is not null && !File.Exists(Path.Combine(folder, "Xinim.sln"))) folder = Path.GetDirectoryName(folder);
        return Path.Combine(folder ?? throw new DirectoryNotFoundException("no Xinim.sln above the test's assembly"), "src/Xinim.Ipc/Rings");
    }

    [GeneratedRegex(@"\s+")]
    private static partial Regex Space();
}
