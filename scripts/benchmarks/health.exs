# How the BEAM fares while an engine is driven as hard as it can be: whether its schedulers go on, whether anybody is
# suspended, how long the owner's mailbox gets, and what idle sessions and open demands hold. Run by `scripts/bench`; rows
# for table.py go to standard output.
#
# A ticker wants to run each millisecond and notes how late it is. The peer is the same load between BEAM processes alone:
# as many of them, which send one another as many messages as they can, without any port.

defmodule Bench.Load do
  # 64 demands in flight from one caller, 16 callers with one each, and 4 streams; or the same without Graphport.

  @in_flight 64
  @callers 16
  @streams 4

  def start(target) do
    parent = self()
    loads = [fn -> pipelined(target) end] ++ callers(target) ++ streams(target)
    pids = for load <- loads, do: spawn_link(fn -> send(parent, :started) && load.() end)
    for _pid <- pids, do: receive(do: (:started -> :ok))
    pids
  end

  # Their open demands are cancelled by their end.
  def stop(pids) do
    for pid <- pids do
      Process.unlink(pid)
      monitor = Process.monitor(pid)
      Process.exit(pid, :kill)
      receive(do: ({:DOWN, ^monitor, :process, _pid, _reason} -> :ok))
    end
  end

  defp callers(target), do: for(_caller <- 1..@callers, do: fn -> forever(fn -> call(target) end) end)
  defp streams(target), do: for(_stream <- 1..@streams, do: fn -> stream(target) end)

  defp pipelined(:peer) do
    echo = spawn_link(&echo/0)
    for _ <- 1..@in_flight, do: send(echo, {self(), make_ref(), "answer"})
    forever(fn -> receive(do: ({_ref, _text} -> send(echo, {self(), make_ref(), "answer"}))) end)
  end

  defp pipelined(session) do
    for _ <- 1..@in_flight, do: ask(session)
    forever(fn -> answer() && ask(session) end)
  end

  defp call(:peer) do
    echo =
      case Process.get(:echo) do
        nil -> tap(spawn_link(&echo/0), &Process.put(:echo, &1))
        echo -> echo
      end

    send(echo, {self(), make_ref(), "answer"})
    receive(do: ({_ref, _text} -> :ok))
  end

  defp call(session), do: ask(session) && answer()
  defp ask(session), do: {:ok, _demand} = Graphport.demand_async(session, "answer")
  defp answer, do: receive(do: ({:demand_complete, "answer", _outputs} -> :ok))

  # A window of 64 chunks, as `Graphport.stream/3` has: else the mailbox of the peer's receiver would grow without end.
  defp stream(:peer) do
    receiver = self()
    source = spawn_link(fn -> forever(fn -> grant(receiver, 32) end) end)
    for _ <- 1..2, do: send(source, :grant)
    forever(fn -> for(_ <- 1..32, do: receive(do: ({:token, _text} -> :ok))) && send(source, :grant) end)
  end

  defp stream(session), do: session |> Graphport.stream("streams", timeout: :infinity) |> Stream.run()

  defp grant(receiver, chunks) do
    receive(do: (:grant -> :ok))
    for _ <- 1..chunks, do: send(receiver, {:token, "a token"})
  end

  defp echo, do: forever(fn -> receive(do: ({from, ref, text} -> send(from, {ref, text}))) end)

  defp forever(step) do
    step.()
    forever(step)
  end
end

defmodule Bench.Health do
  alias Graphport.Instance

  @rounds 5
  @idle_ms 1_000
  @load_ms 2_000
  @burst_ms 3_000
  @long_schedule_ms 20
  @sessions 5_000
  @demands 10_000
  @graph %{
    "nodes" => [
      %{"id" => "prompt", "type" => "text-input", "data" => %{"text" => "twelve bytes"}},
      %{"id" => "answer", "type" => "text-output"},
      %{"id" => "streams", "type" => "streams"},
      %{"id" => "waits", "type" => "waits"}
    ],
    "edges" => [
      %{"source" => "prompt", "source_handle" => "text", "target" => "answer", "target_handle" => "text"}
    ]
  }

  def run do
    nodes = [name: Bench.Graphs, nodes: ["health_nodes"], python_path: [Path.join(__DIR__, "nodes")]]
    {:ok, _} = Supervisor.start_link([{Graphport, nodes}], strategy: :one_for_one)
    session = Graphport.open!(Bench.Graphs, @graph)
    %{"text" => "twelve bytes"} = Graphport.demand!(session, "answer")
    watcher = spawn_link(fn -> watched(%{}) end)
    :erlang.system_monitor(watcher, [:busy_port, :busy_dist_port, {:long_schedule, @long_schedule_ms}])
    ticks(session, watcher)
    mailbox(session)
    held(session)
    IO.puts(:stderr, "")
  end

  # -- schedulers ------------------------------------------------------------------------------------------------

  defp ticks(session, watcher) do
    rounds =
      for round <- 1..@rounds do
        loads = [idle: nil, ours: session, peer: :peer]
        {back, front} = Enum.split(loads, rem(round, 3))
        for {name, target} <- front ++ back, into: %{}, do: {name, ticked(name, target, watcher)}
      end

    late = fn name -> rounds |> Enum.flat_map(&elem(&1[name], 0)) |> Enum.sort() end
    {idle, ours, peer} = {late.(:idle), late.(:ours), late.(:peer)}

    for {word, part} <- [{"p50", 0.5}, {"p99", 0.99}, {"max", 1.0}] do
      value = fn sorted -> at(sorted, part) end
      IO.puts("1 ms ticker's lateness, no load, #{word}\t#{ms(value.(idle))}\t\t\t")
      ratio = :erlang.float_to_binary(value.(ours) / max(value.(peer), 1), decimals: 2)
      target = if word == "p99", do: "<=1.5x", else: ""

      IO.puts(
        "1 ms ticker's lateness, full load, #{word}\t#{ms(value.(ours))}\t#{ms(value.(peer))}\t#{ratio}x\t#{target}"
      )
    end

    count = fn name, what -> rounds |> Enum.map(&Map.get(elem(&1[name], 1), what, 0)) |> Enum.sum() end

    for {what, text} <- [
          long_schedule: "schedules of #{@long_schedule_ms} ms and more",
          busy_port: "processes suspended by a port"
        ] do
      IO.puts(
        "#{text}, full load\t#{count.(:ours, what)}\t#{count.(:peer, what)}\t#{count.(:ours, what)}\t<=0"
      )
    end
  end

  defp ticked(:idle, nil, watcher), do: ticked(@idle_ms, watcher)

  defp ticked(_name, target, watcher) do
    load = Bench.Load.start(target)
    result = ticked(@load_ms, watcher)
    Bench.Load.stop(load)
    result
  end

  defp ticked(for_ms, watcher) do
    IO.write(:stderr, ".")
    seen(watcher)
    ticker = Task.async(fn -> tick(System.monotonic_time(:millisecond) + 1, for_ms, []) end)
    {Task.await(ticker, :infinity), seen(watcher)}
  end

  # Microseconds after the time that was meant.
  defp tick(_due, 0, late), do: late

  defp tick(due, left, late) do
    :erlang.start_timer(due, self(), :tick, abs: true)
    receive(do: ({:timeout, _timer, :tick} -> :ok))
    now = System.monotonic_time(:microsecond)

    # One that came late by milliseconds has missed those ticks: each of them was late too, the first the most.
    missed = min(div(now - due * 1_000, 1_000), left - 1)
    lates = for n <- 0..missed, do: now - (due + n) * 1_000
    tick(due + missed + 1, left - missed - 1, lates ++ late)
  end

  defp watched(seen) do
    receive do
      {:monitor, what_of, what, more} ->
        if System.get_env("GRAPHPORT_BENCH_DEBUG"), do: IO.inspect({what_of, what, more}, label: "seen")
        watched(Map.update(seen, if(what == :busy_dist_port, do: :busy_port, else: what), 1, &(&1 + 1)))

      {:seen, from} ->
        send(from, {:seen, seen})
        watched(%{})
    end
  end

  defp seen(watcher) do
    send(watcher, {:seen, self()})
    receive(do: ({:seen, seen} -> seen))
  end

  # -- the owner's mailbox ---------------------------------------------------------------------------------------

  # Full load, and 512 answers at once on top of it, again and again.
  defp mailbox(session) do
    IO.write(:stderr, ".")
    owner = Process.whereis(Instance.owner(Bench.Graphs, 0))
    load = Bench.Load.start(session)
    burst = spawn_link(fn -> bursts(session) end)
    lengths = Enum.sort(lengths(owner, System.monotonic_time(:millisecond) + @burst_ms, []))
    Bench.Load.stop([burst | load])
    IO.puts("owner's mailbox in bursts, p99\t#{at(lengths, 0.99)}\t\t\t")
    IO.puts("owner's mailbox in bursts, max\t#{List.last(lengths)}\t\t\t")
  end

  defp bursts(session) do
    for _ <- 1..512, do: {:ok, _demand} = Graphport.demand_async(session, "answer")
    for _ <- 1..512, do: receive(do: ({:demand_complete, "answer", _outputs} -> :ok))
    bursts(session)
  end

  defp lengths(owner, until, lengths) do
    receive(after: (1 -> :ok))
    {:message_queue_len, length} = Process.info(owner, :message_queue_len)

    if System.monotonic_time(:millisecond) < until,
      do: lengths(owner, until, [length | lengths]),
      else: lengths
  end

  # -- memory ----------------------------------------------------------------------------------------------------

  defp held(session) do
    open = fn -> %Graphport.Session{} = Graphport.open!(Bench.Graphs, @graph, owner: :none) end

    agent = fn ->
      {:ok, _pid} = Agent.start(fn -> :erlang.binary_to_term(:erlang.term_to_binary(@graph)) end)
    end

    demand = fn -> {:ok, _demand} = Graphport.demand_async(session, "waits") end
    process = fn -> spawn(fn -> receive(do: (:never -> :ok)) end) end
    # Once without looking, so that tables have the size they keep.
    for _ <- 1..100, do: open.()

    {beam, engine} = growth(open, @sessions)
    {agents, _engine} = growth(agent, @sessions)
    bytes("BEAM bytes of an idle session; peer: an Agent", beam, agents, "")
    bytes("engine bytes of an idle session", engine, nil, "")

    {beam, engine} = growth(demand, @demands)
    {processes, _engine} = growth(process, @demands)
    bytes("BEAM bytes of an open demand; peer: a process", beam, processes, "<=1x")
    bytes("engine bytes of an open demand", engine, nil, "")

    {:ok, %{open_demands: @demands, open_sessions: open_sessions}} = Graphport.info(Bench.Graphs)
    true = open_sessions == @sessions + 101
  end

  # Handles are not kept: they are their holder's.
  defp growth(make, count) do
    IO.write(:stderr, ".")
    {beam, engine} = memory()
    Enum.each(1..count, fn _ -> make.() end)
    {more_beam, more_engine} = memory()
    {(more_beam - beam) / count, (more_engine - engine) / count}
  end

  # Bytes. What was sent is read: a question is answered after it. Each collection may change the size of an idle process,
  # to and fro: an even number of them leaves it as it was.
  defp memory do
    {:ok, _types} = Graphport.nodes(Bench.Graphs)
    for _ <- 1..4, pid <- Process.list(), do: :erlang.garbage_collect(pid)
    {:ok, %{engines: [%{os_pid: os_pid}]}} = Graphport.info(Bench.Graphs)
    [_, kilobytes] = Regex.run(~r/VmRSS:\s+(\d+) kB/, File.read!("/proc/#{os_pid}/status"))
    {:erlang.memory(:total), String.to_integer(kilobytes) * 1_024}
  end

  defp bytes(figure, ours, nil, target), do: IO.puts("#{figure}\t#{round(ours)} B\t\t\t#{target}")

  defp bytes(figure, ours, theirs, target) do
    ratio = :erlang.float_to_binary(ours / max(theirs, 1), decimals: 2)
    IO.puts("#{figure}\t#{round(ours)} B\t#{round(theirs)} B\t#{ratio}x\t#{target}")
  end

  defp at(sorted, part), do: Enum.at(sorted, min(trunc(length(sorted) * part), length(sorted) - 1))
  defp ms(microseconds), do: "#{:erlang.float_to_binary(microseconds / 1_000, decimals: 2)} ms"
end

Bench.Health.run()
