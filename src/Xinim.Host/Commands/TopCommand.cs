using System.CommandLine;
using System.Diagnostics;
using Xinim.Host.Top;

namespace Xinim.Host.Commands;

/// <summary><c>xinim top</c>: devices, drivers, rates, latencies, faults and events, live.</summary>
internal static class TopCommand
{
    private const int PlainWidth = 200;
    private static readonly TimeSpan KeyPeriod = TimeSpan.FromMilliseconds(50);

    public static Command Create(CommandEnvironment environment)
    {
        Option<double> interval = CommonOptions.AtLeast(new Option<double>("--interval") { Description = "Seconds between two looks", HelpName = "S", DefaultValueFactory = _ => 1 }, 0.1);
        Option<bool> once = new("--once") { Description = "Print one picture and end; also where the output is no terminal" };
        CliCommand command = new("top", "Watch devices, drivers, rates, latencies and events; q quits, r restarts the selected driver", "top", "top --interval 0.5", "top --once") { interval, once };
        command.SetAction(result => CommandErrors.Guard(environment, () =>
        {
            using Interruption interruption = new(environment);
            TopState state = new();
            using TopSource source = new(state, CommonOptions.SocketOf(result));
            TimeSpan period = TimeSpan.FromSeconds(result.GetValue(interval));
            if (result.GetValue(once) || environment.Width is null || Console.IsInputRedirected) return Print(environment, source, state, period, interruption.Token);
            Watch(environment, source, state, period, interruption.Token);
            return 0;
        }));
        return command;
    }

    private static int Print(CommandEnvironment environment, TopSource source, TopState state, TimeSpan period, CancellationToken stop)
    {
        source.Refresh();
        // Rates are the difference of two looks.
        if (state.Problem is null && !stop.WaitHandle.WaitOne(period)) source.Refresh();
        if (state.Problem is { } problem) return CommandErrors.Say(environment, problem, CommandErrors.Failed);
        foreach (string line in TopFrame.Draw(state, environment.Width ?? PlainWidth, int.MaxValue, colours: false, keys: false)) environment.Output.WriteLine(line.TrimEnd());
        return 0;
    }

    private static void Watch(CommandEnvironment environment, TopSource source, TopState state, TimeSpan period, CancellationToken stop)
    {
        using TopScreen screen = new(environment.Output);
        string? shown = null;
        while (!stop.IsCancellationRequested)
        {
            source.Refresh();
            long looked = Stopwatch.GetTimestamp();
            Draw();
            while (Stopwatch.GetElapsedTime(looked) < period && !stop.WaitHandle.WaitOne(KeyPeriod))
            {
                ConsoleKeyInfo? key = TopScreen.Key();
                if (key is { } pressed && !Handle(pressed, source, state)) return;
                if (key is not null || state.Notice != shown) Draw();
            }
        }

        void Draw()
        {
            (int width, int height) = TopScreen.Size;
            shown = state.Notice;
            screen.Show(TopFrame.Draw(state, width, height, colours: true, keys: true));
        }
    }

    /// <returns>False to quit.</returns>
    private static bool Handle(ConsoleKeyInfo key, TopSource source, TopState state)
    {
        state.Notice = null;
        switch (key)
        {
            case { KeyChar: 'q' }: return false;
            case { KeyChar: 'r' } when state.Selected is { } device: _ = source.Restart(device.Name); break;
            case { Key: ConsoleKey.UpArrow or ConsoleKey.K }: state.Select(-1); break;
            case { Key: ConsoleKey.DownArrow or ConsoleKey.J }: state.Select(1); break;
        }

        return true;
    }
}
