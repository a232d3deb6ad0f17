# How soon after a kill -9 everybody knows, is served again, and nothing is left behind, in each state of the engine. Run
# by `scripts/bench`; rows for table.py go to standard output. The states are those of the tests in `test/faults`.

for file <- ~w(os_processes fault_states), do: Code.require_file("../../elixir_client/test/support/#{file}.ex", __DIR__)
Logger.configure(level: :none)

defmodule Bench.Life do
  alias Graphport.{FaultStates, Instance, OsProcesses}

  @rounds 5
  @repository Path.expand("../..", __DIR__)
  @name Bench.Life.Graphs

  def run do
    folder = Path.join(System.tmp_dir!(), "graphport-life-#{System.pid()}")

    for state <- FaultStates.all() do
      engine = rounds(folder, fn -> in_this_beam(state, folder, :engine) end)
      row("engine killed, #{state}: engine_down to all", for({told, _served} <- engine, do: told), "")
      row("engine killed, #{state}: next demand done", for({_told, served} <- engine, do: served), "<=1000 ms")
      beam = rounds(folder, fn -> beam(state, folder) end)
      row("BEAM killed, #{state}: no process left", beam, "<=1000 ms")
    end

    for victim <- [:owner, :janitor, :table, :core], state <- [:idle, :interpreter_held] do
      times = rounds(folder, fn -> in_this_beam(state, folder, victim) end)
      row("#{victim} killed, #{state}: next demand done", for({_told, served} <- times, do: served), "")
    end

    model(folder)
    IO.puts(:stderr, "")
  end

  # With the small model, which generates meanwhile.
  defp model(folder) do
    worker = rounds(folder, fn -> in_this_beam(:generating, folder, :worker) end)
    row("worker killed, generating: demand_error", for({told, _served} <- worker, do: told), "<=200 ms")
    row("engine killed, generating: worker gone", rounds(folder, fn -> worker_gone(folder) end), "<=1000 ms")
    row("BEAM killed, generating: no process left", rounds(folder, fn -> beam(:generating, folder) end), "<=1000 ms")
  end

  defp worker_gone(folder) do
    {:ok, instance} = start(folder)
    session = Graphport.open!(@name, FaultStates.graph(folder))
    _entered = FaultStates.enter(:generating, @name, session, folder)
    engine = engine()
    [worker] = OsProcesses.marked(folder) -- [engine]
    began = now()
    OsProcesses.kill(engine)
    FaultStates.eventually(fn -> start_time(worker) == nil end)
    took = now() - began
    last(:generating)
    Supervisor.stop(instance)
    took
  end

  defp rounds(folder, round) do
    for _ <- 1..@rounds do
      IO.write(:stderr, ".")
      File.rm_rf!(folder)
      File.mkdir_p!(folder)
      measured = round.()
      File.rm_rf!(folder)
      measured
    end
  end

  defp in_this_beam(state, folder, victim) do
    {:ok, instance} = start(folder)
    session = Graphport.open!(@name, FaultStates.graph(folder))
    entered = FaultStates.enter(state, @name, session, folder)
    kill = victim(victim, engine(), folder)
    began = now()
    kill.()
    FaultStates.leave(entered)
    for tag <- entered.open, do: last(tag)
    told = now() - began
    served(session, folder, victim)
    served = now() - began
    FaultStates.clean(entered)
    Supervisor.stop(instance)
    {told, served}
  end

  defp beam(state, folder) do
    ebin = :graphport |> :code.lib_dir(:ebin) |> to_string()
    support = Path.join(@repository, "elixir_client/test/support")
    required = Enum.flat_map(~w(os_processes fault_states), &["-r", Path.join(support, "#{&1}.ex")])
    script = Path.join(@repository, "elixir_client/test/faults/beam_killed.exs")
    paths = [folder, System.fetch_env!("GRAPHPORT_PYTHON"), Path.join(support, "nodes")]
    arguments = ["-pa", ebin] ++ required ++ [script, "#{state}" | paths]
    port = Port.open({:spawn_executable, System.find_executable("elixir")}, [:binary, line: 1_000, args: arguments])
    [beam | programs] = receive(do: ({^port, {:data, {:eol, "there " <> os_pids}}} -> String.split(os_pids)))
    programs = Enum.map(programs, &String.to_integer/1)
    left = for os_pid <- OsProcesses.marked(folder) -- programs, do: {os_pid, start_time(os_pid)}
    began = now()
    OsProcesses.kill(String.to_integer(beam))
    FaultStates.eventually(fn -> not Enum.any?(left, fn {os_pid, time} -> start_time(os_pid) == time end) end)
    took = now() - began
    Enum.each(programs, &OsProcesses.kill/1)
    took
  end

  defp start(folder) do
    paths = [folder, Path.join(@repository, "elixir_client/test/support/nodes")]
    options = [name: @name, python_path: paths, nodes: FaultStates.modules()]
    Graphport.start_link([hang_timeout: 600_000, drain_timeout: 0] ++ options)
  end

  defp engine do
    {:ok, %{engines: [%{os_pid: os_pid}]}} = Graphport.info(@name)
    os_pid
  end

  defp victim(:worker, engine, folder) do
    [worker] = OsProcesses.marked(folder) -- [engine]
    fn -> OsProcesses.kill(worker) end
  end

  defp victim(:engine, engine, _folder), do: fn -> OsProcesses.kill(engine) end
  defp victim(:owner, _engine, _folder), do: exit_of(Process.whereis(Instance.owner(@name, 0)))
  defp victim(:janitor, _engine, _folder), do: exit_of(Process.whereis(Instance.process_name(@name, :janitor)))

  defp victim(:table, _engine, _folder) do
    {:ok, instance} = Instance.fetch(@name)
    exit_of(instance.table)
  end

  defp victim(:core, _engine, _folder) do
    {_id, pid, _type, _modules} =
      @name |> Process.whereis() |> Supervisor.which_children() |> List.keyfind(Instance.Core, 0)

    exit_of(pid)
  end

  defp exit_of(pid) do
    fn ->
      monitor = Process.monitor(pid)
      Process.exit(pid, :kill)
      receive(do: ({:DOWN, ^monitor, :process, ^pid, _killed} -> :ok))
    end
  end

  defp last(tag) do
    receive do
      {:graphport, ^tag, {kind, _node, _answer}} when kind in [:demand_complete, :demand_error] -> :ok
    end
  end

  # An engine that was idle may be asked before anybody knows of its end: then it is asked again.
  defp served(session, _folder, victim) when victim in [:engine, :owner, :worker],
    do: FaultStates.eventually(fn -> match?({:ok, _outputs}, Graphport.demand(session, "after")) end)

  defp served(_session, folder, _victim) do
    me = self()

    FaultStates.eventually(fn ->
      with {:ok, session} <- Graphport.open(@name, FaultStates.graph(folder), owner: me),
           do: match?({:ok, _outputs}, Graphport.demand(session, "after")),
           else: (_not_yet -> false)
    end)
  end

  defp row(figure, microseconds, target) do
    [p50, longest] = for us <- [median(microseconds), Enum.max(microseconds)], do: "#{Float.round(us / 1_000, 1)} ms"
    IO.puts("#{figure}\t#{p50}\t\t#{longest}\t#{target}")
  end

  defp start_time(os_pid), do: Graphport.Port.OsProcess.start_time(os_pid)
  defp now, do: System.monotonic_time(:microsecond)
  defp median(values), do: values |> Enum.sort() |> Enum.at(div(length(values), 2))
end

Bench.Life.run()
