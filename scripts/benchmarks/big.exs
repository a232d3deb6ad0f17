# What a binary of 1 or 64 MiB costs through the public API, each way, against a C program that reads or writes one frame
# of that size (`echo.c big`), in the same BEAM and in interleaved rounds. Run by `scripts/bench wire`; rows for table.py
# go to standard output.
#
# *up* is from the BEAM to the other process, with a tiny answer; *down* is a tiny request with the binary as its answer.
# The C program's pipe has the size that the system gives it.

defmodule Bench.Big do
  @rounds 5
  @mib 1_048_576
  @calls %{1 => 32, 64 => 1}
  @graph %{"nodes" => [%{"id" => "take", "type" => "take"}, %{"id" => "give", "type" => "give"}], "edges" => []}

  def run(build) do
    options = [name: Bench.Graphs, nodes: ["big_nodes"], python_path: [Path.join(__DIR__, "nodes")]]
    {:ok, _} = Supervisor.start_link([{Graphport, options}], strategy: :one_for_one)
    session = Graphport.open!(Bench.Graphs, @graph)
    targets = [{:graphport, session} | peers(Path.join(build, "echo"))]
    rates = for round <- 0..@rounds, do: round(round, targets)
    rates |> tl() |> rows()
  end

  # Without a C compiler there is no peer.
  defp peers(program) do
    if File.exists?(program) do
      options = [:binary, :nouse_stdio, :exit_status, {:packet, 4}, {:args, ["big"]}]
      [c: Port.open({:spawn_executable, program}, options)]
    else
      []
    end
  end

  # One round: each target once with each load, in an order that turns from round to round.
  defp round(number, targets) do
    IO.write(:stderr, ".")
    {back, front} = Enum.split(targets, rem(number, length(targets)))

    for {name, target} <- front ++ back, mib <- [1, 64], way <- [:up, :down], into: %{} do
      {{name, mib, way}, measure(target, mib, way)}
    end
  end

  # MiB per second.
  defp measure(target, mib, way) do
    data = :binary.copy(<<0>>, mib * @mib)
    :erlang.garbage_collect()
    began = System.monotonic_time(:nanosecond)
    for _call <- 1..@calls[mib], do: call(target, way, mib, data)
    @calls[mib] * mib / ((System.monotonic_time(:nanosecond) - began) / 1_000_000_000)
  end

  defp call(%Graphport.Session{} = session, :up, mib, data) do
    inputs = %{"take" => %{"value" => Graphport.bytes(data)}}
    size = mib * @mib
    {:ok, %{"value" => ^size}} = Graphport.demand(session, "take", inputs: inputs)
  end

  defp call(%Graphport.Session{} = session, :down, mib, _data) do
    {:ok, %{"value" => data}} = Graphport.demand(session, "give", inputs: %{"give" => %{"mib" => mib}})
    true = byte_size(data) == mib * @mib
  end

  defp call(port, :up, _mib, data), do: 8 = exchange(port, [<<8::64>> | data])
  defp call(port, :down, mib, _data), do: true = exchange(port, <<mib * @mib::64>>) == mib * @mib

  defp exchange(port, frame) do
    Port.command(port, frame)
    receive do: ({^port, {:data, answer}} -> byte_size(answer))
  end

  # -- figures ---------------------------------------------------------------------------------------------------

  defp rows(rounds) do
    IO.puts(:stderr, "")

    for {mib, target} <- [{1, ">=2x"}, {64, ">=1.6x"}], {way, word} <- [up: "to Python", down: "from Python"] do
      row(rounds, "#{mib} MiB #{word}", {mib, way}, target)
    end
  end

  defp row(rounds, figure, {mib, way}, target) do
    ours = &Map.fetch!(&1, {:graphport, mib, way})
    theirs = &Map.get(&1, {:c, mib, way})
    value = rounds |> Enum.map(ours) |> median() |> show()

    if theirs.(hd(rounds)) do
      ratio = rounds |> Enum.map(&(ours.(&1) / theirs.(&1))) |> median()
      peer = rounds |> Enum.map(theirs) |> median() |> show()
      IO.puts("#{figure}\t#{value}\t#{peer}\t#{:erlang.float_to_binary(ratio, decimals: 2)}x\t#{target}")
    else
      IO.puts("#{figure}\t#{value}\t\t\t#{target}")
    end
  end

  defp show(mib_per_second), do: "#{round(mib_per_second)} MiB/s"
  defp median(values), do: values |> Enum.sort() |> Enum.at(div(length(values), 2))
end

Bench.Big.run(System.fetch_env!("GRAPHPORT_BENCH_BUILD"))
