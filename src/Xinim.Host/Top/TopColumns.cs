using System.Globalization;
using Spectre.Console;
using Xinim.Supervisor.Devices;
using Xinim.Supervisor.Status;

namespace Xinim.Host.Top;

/// <summary>The table of devices: as many columns as the screen is wide, the least wanted ones go first.</summary>
internal static class TopColumns
{
    private static readonly Column[] All =
    [
        new("", false, 0, (state, device) => state.Selected == device ? ">" : " "),
        new("NAME", false, 0, (_, device) => device.Name),
        new("DRIVER", false, 5, (_, device) => device.Driver),
        new("PID", true, 3, (_, device) => device.Pid is { } pid ? Number((ulong)pid) : "-"),
        new("STATE", false, 0, (state, device) => state.Problem is null ? device.State.ToString() : "?"),
        new("GEN", true, 2, (_, device) => Number(device.Generation)),
        new("RST", true, 0, (_, device) => Number(device.Restarts)),
        new("RX/S", true, 0, (state, device) => Rate(state, device, rates => rates.RxFrames)),
        new("RXBIT/S", true, 1, (state, device) => Rate(state, device, rates => rates.RxBits)),
        new("TX/S", true, 0, (state, device) => Rate(state, device, rates => rates.TxFrames)),
        new("TXBIT/S", true, 1, (state, device) => Rate(state, device, rates => rates.TxBits)),
        new("MISS", true, 0, (_, device) => device.Disks is null ? Short(device.Counters.GetValueOrDefault("rxMissed")) : "-"),
        new("ERR", true, 0, (_, device) => Short(device.Errors)),
        new("P50µs", true, 0, (_, device) => Latency(device, latency => latency.P50)),
        new("P99µs", true, 0, (_, device) => Latency(device, latency => latency.P99)),
        new("MAXµs", true, 4, (_, device) => Latency(device, latency => latency.Max)),
        new("LAST FAULT", false, 6, (_, device) => Fault(device, DateTimeOffset.UtcNow)),
    ];

    /// <summary>A header and a row for each device, not wider than the screen.</summary>
    public static Table Build(TopState state, int width)
    {
        List<(Column Column, string[] Cells)> columns = [.. All.Select(column => (column, state.Report!.Devices.Select(device => column.Cell(state, device)).ToArray()))];
        while (columns.Sum(Width) + columns.Count > width && columns.Max(column => column.Column.Dispensable) is > 0 and var least)
            columns.RemoveAll(column => column.Column.Dispensable == least);
        Table table = new() { Border = TableBorder.None };
        foreach ((Column Column, string[] Cells) column in columns)
        {
            TableColumn header = new(new Text(column.Column.Header, new Style(decoration: Decoration.Bold))) { NoWrap = true, Width = Width(column), Padding = new Padding(0, 0, 1, 0) };
            header.Alignment = column.Column.IsNumber ? Justify.Right : Justify.Left;
            table.AddColumn(header);
        }

        for (int row = 0; row < state.Report!.Devices.Count; row++)
            table.AddRow(columns.Select(column => new Text(column.Cells[row], StyleOf(state.Report.Devices[row], column.Column.Header))));
        return table;
    }

    /// <summary>Kind and age of the last fault; "-" where there was none.</summary>
    public static string Fault(DeviceReport device, DateTimeOffset now)
        => device.LastFault is null ? "-" : device.LastFaultTime is { } time ? $"{device.LastFaultKind} {Age(now - time)} ago" : device.LastFaultKind.ToString();

    /// <summary>At most six characters: 0 to 9999, 12.3k, 1.23M.</summary>
    public static string Short(double value)
    {
        string[] units = ["", "k", "M", "G", "T", "P", "E"];
        int unit = 0;
        for (; value >= 9999.5 || (unit > 0 && value >= 999.5); unit++) value /= 1000;
        string format = unit == 0 || value >= 99.95 ? "0" : value >= 9.995 ? "0.0" : "0.00";
        return value.ToString(format, CultureInfo.InvariantCulture) + units[unit];
    }

    private static string Age(TimeSpan age) => age switch
    {
        { TotalSeconds: < 0 } => "0s",
        { TotalMinutes: < 2 } => $"{(int)age.TotalSeconds}s",
        { TotalHours: < 2 } => $"{(int)age.TotalMinutes}m",
        { TotalDays: < 2 } => $"{(int)age.TotalHours}h",
        _ => $"{(int)age.TotalDays}d",
    };

    private static string Rate(TopState state, DeviceReport device, Func<Rates, double> of)
        => device.State != DeviceState.Ready || state.Problem is not null ? "-" : state.RatesOf(device) is { } rates ? Short(of(rates)) : "…";

    private static string Latency(DeviceReport device, Func<LatencyReport, double> of) => device.Latency is not { } latency ? "-"
        : of(latency) is < 9.95 and var few ? few.ToString("0.0", CultureInfo.InvariantCulture) : Short(of(latency));

    private static string Number(ulong number) => number.ToString(CultureInfo.InvariantCulture);

    private static int Width((Column Column, string[] Cells) column) => Math.Max(column.Column.Header.Length, column.Cells.DefaultIfEmpty("").Max(cell => cell.Length));

    private static Style StyleOf(DeviceReport device, string header) => header != "STATE" ? Style.Plain : device.State switch
    {
        DeviceState.Ready => new Style(Color.Green),
        DeviceState.Failed or DeviceState.Gone => new Style(Color.Red),
        _ => new Style(Color.Yellow),
    };

    /// <param name="Dispensable">0: stays; otherwise the higher, the sooner it goes.</param>
    private sealed record Column(string Header, bool IsNumber, int Dispensable, Func<TopState, DeviceReport, string> Cell);
}
