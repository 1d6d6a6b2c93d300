using Xinim.Architecture.Tests.Rules;
using Xunit;

namespace Xinim.Architecture.Tests;

/// <summary>What <see cref="CitationRule"/> asks of a register file, line by line.</summary>
public sealed class CitationRuleTests
{
    private const string Head = "// [SDM] = Software Developer's Manual, rev. 4.0\nnamespace A;\n";

    [Theory]
    [InlineData("public Register<Ctrl> Control => new(bar, 0x0); // [SDM §13.4.1]")]
    [InlineData("/// <summary>Device control [SDM §13.4.1, table 13-3].</summary>\n[Obsolete]\npublic Register<Ctrl> Control => new(bar, 0x0);")]
    [InlineData("public const uint Rctl = 0x100; // [SDM §13.4.22]")]
    [InlineData("public RegisterTable Mta => new(\n    bar, 0x5200, 128); // [SDM §13.5.1]")]
    [InlineData("public uint Helper(uint value) => value;")]
    [InlineData("/// <summary>Bits of CTRL [SDM §13.4.1].</summary>\n[Flags]\npublic enum Ctrl : uint\n{\n    None = 0,\n    FullDuplex = 1,\n}")]
    [InlineData("public enum Ctrl : uint\n{\n    None = 0,\n\n    /// <summary>Duplex [SDM §13.4.1].</summary>\n    FullDuplex = 1,\n    Speed = 2, // [SDM §A.2]\n}")]
    public void A_cited_declaration_passes(string body) => Assert.Empty(Check(Head + Wrap(body)));

    [Theory]
    [InlineData("public Register<Ctrl> Control => new(bar, 0x0);")]
    [InlineData("public ReadToClearRegister<Icr> Cause { get; } = new(bar, 0xc0);")]
    [InlineData("public WriteOnlyRegister<uint> Doorbell => new(bar, 0x10); // SDM 13.4.1")]
    [InlineData("public RegisterTable Mta => new(bar, 0x5200, 128); // [SDM]")]
    [InlineData("internal const uint Rctl = 0x100;")]
    [InlineData("// [SDM §13.4.1]\n\npublic const uint Rctl = 0x100;")]
    [InlineData("public const uint A = 0; // [SDM §1]\npublic const uint B = 4;\npublic const uint C = 8; // [SDM §2]")]
    [InlineData("/// <summary>Bits of CTRL.</summary>\npublic enum Ctrl : uint\n{\n    FullDuplex = 1,\n}")]
    [InlineData("public enum Ctrl : uint\n{\n    FullDuplex = 1, // [SDM §13.4.1]\n    Speed = 2,\n}")]
    public void A_declaration_without_a_section_is_seen(string body) => Assert.Single(Check(Head + Wrap(body)));

    [Fact]
    public void A_head_without_sources_is_seen() => Assert.NotEmpty(Check("namespace A;\n" + Wrap("")));

    [Fact]
    public void A_source_that_the_head_does_not_name_is_seen() =>
        Assert.Single(Check(Head + Wrap("public const uint Rctl = 0x100; // [OTHER §13.4.22]")));

    [Fact]
    public void The_head_of_the_register_map_names_the_sources_of_its_folder()
    {
        (string, string) registers = ("src/Xinim.Drivers/X/XRegisters.cs", Head + Wrap(""));
        Assert.Empty(CitationRule.Check(SourceTree.Of(registers, ("src/Xinim.Drivers/X/XQueues.cs", "class Q { /* [SDM §3.2] */ }"))));
        Assert.NotEmpty(CitationRule.Check(SourceTree.Of(registers, ("src/Xinim.Drivers/X/XQueues.cs", "class Q { /* [82574 §3.2] */ }"))));
        Assert.Empty(CitationRule.Check(SourceTree.Of(registers, ("src/Xinim.Drivers/X/XQueues.cs", "// [82574] = B\nclass Q { /* [82574 §3.2] */ }"))));
        Assert.NotEmpty(CitationRule.Check(SourceTree.Of(registers, ("src/Xinim.Drivers/Y/YRegisters.cs", "class R { /* [SDM §3.2] */ }"))));
    }

    [Fact]
    public void Bring_up_and_memory_layout_cite_and_glue_need_not()
    {
        (string, string) registers = ("src/Xinim.Drivers/X/XRegisters.cs", Head + Wrap(""));
        Assert.NotEmpty(CitationRule.Check(SourceTree.Of(registers, ("src/Xinim.Drivers/X/XHardware.cs", "class H { }"))));
        Assert.NotEmpty(CitationRule.Check(SourceTree.Of(registers, ("src/Xinim.Drivers/X/XDescriptors.cs", "class H { }"))));
        Assert.Empty(CitationRule.Check(SourceTree.Of(registers, ("src/Xinim.Drivers/X/XDriver.cs", "class D { }"))));
    }

    [Fact]
    public void Bits_in_a_file_of_their_own_cite_too() => Assert.NotEmpty(CitationRule.Check(SourceTree.Of(
        ("src/Xinim.Drivers/X/XRegisters.cs", Head + Wrap("")),
        ("src/Xinim.Drivers/X/XRegisterBits.cs", "public enum Ctrl : uint\n{\n    FullDuplex = 1,\n}"))));

    private static string Wrap(string body) => $"public static class R\n{{\n{body}\n}}\n";

    private static string[] Check(string text) => [.. CitationRule.Check(SourceTree.Of(("src/Xinim.Drivers/X/XRegisters.cs", text)))];
}
