# The soak itself: warm up, measure, load and kill, settle, measure again, judge. Run by `scripts/soak`.

defmodule Soak do
  alias Graphport.Instance
  alias Soak.{Caller, Killer, Ledger, Sessions}

  @instance Soak.Graphs
  @callers 16
  @sessions 6
  @settle_ms 30_000
  # What may be more at the end than after the warm-up: slack of allocators, modules that are loaded late.
  @bounds %{
    "processes" => {3, ""},
    "atoms" => {20, ""},
    "ports" => {0, ""},
    "BEAM memory" => {16, " MiB"},
    "Python memory, largest" => {96, " MiB"},
    "OS processes" => {0, ""}
  }

  def run(seconds) do
    seed = integer("GRAPHPORT_SOAK_SEED", :rand.uniform(1_000_000_000))
    engines = integer("GRAPHPORT_SOAK_ENGINES", 2)
    IO.puts("soak: #{seconds} s, #{engines} engines, #{@callers} callers, GRAPHPORT_SOAK_SEED=#{seed}")
    Logger.configure(level: :none)
    mark = "GRAPHPORT_SOAK_ID=#{System.os_time()}-#{seed}"
    [key, value] = String.split(mark, "=")
    System.put_env(key, value)
    Ledger.start()

    nodes = [
      name: @instance,
      nodes: ["soak_nodes"],
      python_path: [Path.join(__DIR__, "nodes")],
      engines: engines
    ]

    {:ok, supervisor} = Supervisor.start_link([{Graphport, nodes}], strategy: :one_for_one)

    # The first look itself makes three hundred atoms.
    measure(mark)
    warm_up = max(2, div(seconds, 6))
    before = phase(seed, engines, warm_up, mark)
    later = phase(seed + 1, engines, seconds - warm_up, mark)
    compare(before, later)
    Supervisor.stop(supervisor)
    settle("no OS process is left", fn -> os_processes(mark) == [] end)
    judge()
  end

  # Load for so long; what is there once all of it is over.
  defp phase(seed, engines, seconds, mark) do
    {:ok, agent} = Sessions.start_link(@instance, @sessions)
    stopped = :atomics.new(1, [])
    callers = for index <- 1..@callers, do: Caller.start(@instance, {seed, index, 0}, self(), stopped)
    killer = Killer.start(@instance, {seed, 0, 0}, engines, pause(seconds))
    receive(after: (seconds * 1_000 -> :ok))
    send(killer, {:stop, self()})
    receive(do: (:killer_stopped -> :ok))
    :atomics.put(stopped, 1, 1)
    for caller <- callers, do: receive(do: ({:stopped, ^caller} -> :ok))
    Sessions.close_all()
    Agent.stop(agent)
    settle_all(engines, mark)
    for caller <- callers, do: left(caller)
    measure(mark)
  end

  # At least one of each kind to be killed, and not so many that nothing gets done.
  defp pause(seconds), do: (seconds * 1_000) |> div(10) |> max(150) |> min(2_000)

  defp left(caller) do
    monitor = Process.monitor(caller)
    send(caller, :what_is_left)

    receive(
      do:
        ({:left, ^caller, messages} -> for(each <- messages, do: Ledger.wrong("left over: #{inspect(each)}")))
    )

    receive(do: ({:DOWN, ^monitor, _, _, _} -> :ok))
  end

  defp settle_all(engines, mark) do
    {:ok, instance} = Instance.fetch(@instance)
    settle("all engines are up", fn -> info().status == :up end)
    settle("no demand is open", fn -> info().open_demands == 0 end)
    settle("no session is open", fn -> info().open_sessions == 0 end)

    settle("all credit is back", fn ->
      Enum.all?(info().engines, &(&1.unread_frames == 0 and &1.unread_bytes == 0))
    end)

    settle("no engine counts a session", fn -> Enum.all?(info().engines, &(&1.sessions == 0)) end)

    for table <- [:demands, :routes, :watched],
        do: settle("#{table} is empty", fn -> empty?(instance, table) end)

    settle("no engine of an earlier life is left", fn -> length(os_processes(mark)) == engines end)
  end

  defp empty?(instance, table), do: instance |> Map.fetch!(table) |> :ets.info(:size) == 0

  defp info, do: with({:ok, info} <- Graphport.info(@instance), do: info)

  defp settle(what, condition, left_ms \\ @settle_ms) do
    cond do
      condition.() -> :ok
      left_ms <= 0 -> Ledger.wrong("not so at the end: #{what}; #{inspect(info(), limit: 50)}")
      true -> receive(after: (50 -> settle(what, condition, left_ms - 50)))
    end
  end

  defp measure(mark) do
    for pid <- Process.list(), do: :erlang.garbage_collect(pid)

    %{
      "processes" => length(Process.list()),
      "atoms" => :erlang.system_info(:atom_count),
      "ports" => length(Port.list()),
      "BEAM memory" => div(:erlang.memory(:total), 1_048_576),
      "Python memory, largest" => info().engines |> Enum.map(&resident(&1.os_pid)) |> Enum.max(),
      "OS processes" => length(os_processes(mark))
    }
  end

  defp resident(os_pid) do
    with {:ok, text} <- File.read("/proc/#{os_pid}/status"),
         [_, kilobytes] <- Regex.run(~r/VmRSS:\s+(\d+) kB/, text),
         do: kilobytes |> String.to_integer() |> div(1_024),
         else: (_gone -> 0)
  end

  # Of this soak: they have inherited its mark.
  defp os_processes(mark) do
    for path <- Path.wildcard("/proc/[0-9]*/environ"),
        {:ok, variables} <- [File.read(path)],
        mark in String.split(variables, <<0>>),
        do: path
  end

  defp compare(before, later) do
    IO.puts("")

    for {what, {bound, unit}} <- Enum.sort(@bounds) do
      IO.puts(
        "#{what}: #{before[what]}#{unit} after the warm-up, #{later[what]}#{unit} at the end, bound +#{bound}"
      )

      if later[what] - before[what] > bound,
        do: Ledger.wrong("#{what} grew from #{before[what]} to #{later[what]}")
    end
  end

  defp judge do
    Ledger.balance()
    for kind <- Killer.kinds(), Ledger.noted("killed #{kind}") == 0, do: Ledger.wrong("no #{kind} was killed")

    for what <- [:complete, :cancelled, :deadline_exceeded, :killed],
        do: Ledger.total(what) > 0 || Ledger.wrong("no #{what}")

    IO.puts("")
    Ledger.print()
    wrongs = Ledger.wrongs()
    for text <- Enum.take(wrongs, 20), do: IO.puts("WRONG: #{text}")
    IO.puts(if wrongs == [], do: "soak: all is well", else: "soak: #{length(wrongs)} things are wrong")
    System.halt(if wrongs == [], do: 0, else: 1)
  end

  defp integer(variable, default), do: variable |> System.get_env(to_string(default)) |> String.to_integer()
end

[seconds] = System.argv()
seconds |> String.to_integer() |> Soak.run()
