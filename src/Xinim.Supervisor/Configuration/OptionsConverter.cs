using System.Text.Json;
using System.Text.Json.Serialization;
using Xinim.Ipc;
using Xinim.Ipc.Protocols;

namespace Xinim.Supervisor.Configuration;

/// <summary>Reads an object of numbers, texts, true and false as texts: only the driver knows what they mean.</summary>
internal sealed class OptionsConverter : JsonConverter<IReadOnlyDictionary<string, string>>
{
    public override IReadOnlyDictionary<string, string> Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
    {
        if (reader.TokenType != JsonTokenType.StartObject) throw new JsonException("'options' is an object such as { \"key\": 1 }");
        Dictionary<string, string> read = new(StringComparer.Ordinal);
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            string key = reader.GetString()!;
            reader.Read();
            if (!read.TryAdd(key, ReadText(ref reader, key))) throw new JsonException($"option '{key}' stands twice");
        }

        try
        {
            _ = OptionText.From(read);
        }
        catch (LinuxException exception)
        {
            throw new JsonException(exception.Message);
        }

        return read;
    }

    public override void Write(Utf8JsonWriter writer, IReadOnlyDictionary<string, string> value, JsonSerializerOptions options)
    {
        writer.WriteStartObject();
        foreach ((string key, string text) in value) writer.WriteString(key, text);
        writer.WriteEndObject();
    }

    private static string ReadText(ref Utf8JsonReader reader, string key)
    {
        using JsonDocument value = JsonDocument.ParseValue(ref reader);
        return value.RootElement.ValueKind switch
        {
            JsonValueKind.String => value.RootElement.GetString()!,
            JsonValueKind.Number or JsonValueKind.True or JsonValueKind.False => value.RootElement.GetRawText(),
            _ => throw new JsonException($"option '{key}' is {value.RootElement.GetRawText().ReplaceLineEndings(" ")}; allowed: a number, a text, true, false"),
        };
    }
}
