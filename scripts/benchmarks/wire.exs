# What a cached demand costs through the public API, against a C program that only echoes frames (echo.c), in the same
# BEAM and in interleaved rounds. Run by `scripts/bench`; rows for table.py go to standard output.
#
# The peer is driven like a port is in most apps: one owner GenServer writes and routes the answers to its callers.
# "Caller owns the port" is the same program without that process: no app with two callers can have it.

defmodule Bench.Owner do
  # Owns the echo program: writes what callers send, and gives each its answer.
  use GenServer

  def start_link({program, arguments}), do: GenServer.start_link(__MODULE__, {program, arguments})

  def open(program, arguments) do
    options = [:binary, :nouse_stdio, :exit_status, {:packet, 4}, {:args, arguments}]
    Port.open({:spawn_executable, program}, options)
  end

  @impl true
  def init({program, arguments}), do: {:ok, {open(program, arguments), %{}}}

  @impl true
  def handle_info({port, {:data, <<id::64, _rest::binary>>}}, {port, callers}) do
    {caller, callers} = Map.pop!(callers, id)
    send(caller, :answered)
    {:noreply, {port, callers}}
  end

  def handle_info({:echo, caller, <<id::64, _rest::binary>> = frame}, {port, callers}) do
    Port.command(port, frame)
    {:noreply, {port, Map.put(callers, id, caller)}}
  end
end

defmodule Bench.Wire do
  @rounds 9
  @one_calls 3_000
  @many_calls 20_000
  @in_flight 64
  @callers 16
  @payload 60
  @graph %{
    "nodes" => [
      %{"id" => "prompt", "type" => "text-input", "data" => %{"text" => "twelve bytes"}},
      %{"id" => "answer", "type" => "text-output"}
    ],
    "edges" => [
      %{"source" => "prompt", "source_handle" => "text", "target" => "answer", "target_handle" => "text"}
    ]
  }

  def run(build) do
    {:ok, _} = Supervisor.start_link([{Graphport, name: Bench.Graphs}], strategy: :one_for_one)
    session = Graphport.open!(Bench.Graphs, @graph)
    %{"text" => "twelve bytes"} = Graphport.demand!(session, "answer")

    peers = peers(Path.join(build, "echo"))
    targets = [{:graphport, {:graphport, session}} | peers]
    times = for round <- 0..@rounds, do: round(round, targets)
    times |> tl() |> rows()
  end

  # Without a C compiler there is no peer.
  defp peers(program) do
    if File.exists?(program) do
      {:ok, owner} = Bench.Owner.start_link({program, []})
      {:ok, joined} = Bench.Owner.start_link({program, ["joined"]})
      [owner: {:owner, owner}, joined: {:owner, joined}, raw: {:port, Bench.Owner.open(program, [])}]
    else
      []
    end
  end

  # One round: each target once with each load, in an order that turns from round to round.
  defp round(number, targets) do
    IO.write(:stderr, ".")
    {back, front} = Enum.split(targets, rem(number, length(targets)))

    for {name, target} <- front ++ back, load <- [:one, :many, :callers], into: %{} do
      {{name, load}, measure(load, target)}
    end
  end

  defp measure(:callers, {:port, _port}), do: nil

  defp measure(:one, target) do
    sorted = Enum.sort(for number <- 1..@one_calls, do: timed(fn -> call(target, number) end))
    {percentile(sorted, 10), percentile(sorted, 50)}
  end

  defp measure(:many, target) do
    @many_calls / timed_seconds(fn -> pipelined(target) end)
  end

  defp measure(:callers, target) do
    each = div(@many_calls, @callers)
    parent = self()

    seconds =
      timed_seconds(fn ->
        for caller <- 1..@callers, do: spawn_link(fn -> calls(target, caller, each, parent) end)
        for _caller <- 1..@callers, do: receive(do: (:done -> :ok))
      end)

    @callers * each / seconds
  end

  defp calls(target, caller, count, parent) do
    for number <- 1..count, do: call(target, caller * @many_calls + number)
    send(parent, :done)
  end

  defp pipelined(target) do
    for number <- 1..@in_flight, do: ask(target, number)

    for number <- (@in_flight + 1)..@many_calls do
      answer(target)
      ask(target, number)
    end

    for _number <- 1..@in_flight, do: answer(target)
  end

  defp call(target, number) do
    ask(target, number)
    answer(target)
  end

  defp ask({:graphport, session}, _number), do: {:ok, _demand} = Graphport.demand_async(session, "answer")
  defp ask({:owner, owner}, number), do: send(owner, {:echo, self(), frame(number)})
  defp ask({:port, port}, number), do: Port.command(port, frame(number))

  defp answer({:graphport, _session}), do: receive(do: ({:demand_complete, "answer", _outputs} -> :ok))
  defp answer({:owner, _owner}), do: receive(do: (:answered -> :ok))
  defp answer({:port, port}), do: receive(do: ({^port, {:data, _frame}} -> :ok))

  defp frame(number), do: <<number::64, 0::size(@payload - 8)-unit(8)>>

  # -- figures ---------------------------------------------------------------------------------------------------

  defp rows(rounds) do
    IO.puts(:stderr, "")
    micros(rounds, "1 in flight, p10", 0, :owner, "<=1.5x")
    micros(rounds, "1 in flight, p50", 1, :owner, "")
    micros(rounds, "1 in flight, p10; caller owns the port", 0, :raw, "")
    rate(rounds, "64 in flight, one caller", :many, :owner, ">=0.45x")
    rate(rounds, "64 in flight; C writes once per read", :many, :joined, "")
    rate(rounds, "64 in flight; caller owns the port", :many, :raw, "")
    rate(rounds, "16 callers", :callers, :owner, ">=1.2x")
    rate(rounds, "16 callers; C writes once per read", :callers, :joined, "")
  end

  defp micros(rounds, figure, index, peer, target) do
    of = fn name -> &(&1 |> Map.get({name, :one}) |> elem(index)) end
    row(rounds, figure, of.(:graphport), of.(peer), peer, &"#{Float.round(&1 / 1_000, 1)} us", target)
  end

  defp rate(rounds, figure, load, peer, target) do
    of = fn name -> &Map.get(&1, {name, load}) end
    row(rounds, figure, of.(:graphport), of.(peer), peer, &"#{round(&1 / 1_000)}k/s", target)
  end

  defp row(rounds, figure, ours, theirs, peer, show, target) do
    value = rounds |> Enum.map(ours) |> median() |> show.()

    if is_map_key(hd(rounds), {peer, :one}) do
      ratio = rounds |> Enum.map(&(ours.(&1) / theirs.(&1))) |> median()
      peer = rounds |> Enum.map(theirs) |> median() |> show.()
      IO.puts("#{figure}\t#{value}\t#{peer}\t#{:erlang.float_to_binary(ratio, decimals: 2)}x\t#{target}")
    else
      IO.puts("#{figure}\t#{value}\t\t\t#{target}")
    end
  end

  defp timed(fun) do
    began = System.monotonic_time(:nanosecond)
    fun.()
    System.monotonic_time(:nanosecond) - began
  end

  defp timed_seconds(fun), do: timed(fun) / 1_000_000_000
  defp percentile(sorted, percent), do: Enum.at(sorted, div(length(sorted) * percent, 100))
  defp median(values), do: values |> Enum.sort() |> Enum.at(div(length(values), 2))
end

Bench.Wire.run(System.fetch_env!("GRAPHPORT_BENCH_BUILD"))
