# What a cached demand costs over the ErlPort door, against the native pipe, in the same BEAM and in interleaved rounds.
# Run by `scripts/bench wire`; rows for table.py go to standard output.
#
# ErlPort's Erlang application is used where ERL_LIBS has it; else the tests' stand-in for its module `python`, which
# does the same work per message. The Python side is ErlPort's own code either way.

unless Code.ensure_loaded?(:python),
  do: Code.require_file("../../elixir_client/test/support/erlport/python.exs", __DIR__)

defmodule Bench.Erlport do
  @rounds 7
  @one_calls 2_000
  @many_calls 8_000
  @large_calls 30
  @in_flight 64
  @callers 16
  @large_bytes 200_000
  @graph %{
    "nodes" => [
      %{"id" => "prompt", "type" => "text-input", "data" => %{"text" => "twelve bytes"}},
      %{"id" => "answer", "type" => "text-output"}
    ],
    "edges" => [
      %{"source" => "prompt", "source_handle" => "text", "target" => "answer", "target_handle" => "text"}
    ]
  }
  @loads [:one, :many, :callers, :large]

  def run do
    sessions =
      for transport <- [:port, :erlport] do
        name = Module.concat(Bench, Macro.camelize("#{transport}"))

        {:ok, _} =
          Supervisor.start_link([{Graphport, name: name, transport: transport}], strategy: :one_for_one)

        session = Graphport.open!(name, @graph)
        %{"text" => "twelve bytes"} = Graphport.demand!(session, "answer")
        {transport, session}
      end

    rounds = for round <- 0..@rounds, do: round(round, sessions)
    rounds |> tl() |> rows()
  end

  # One round: each door once with each load, first one door, then the other.
  defp round(number, sessions) do
    IO.write(:stderr, ".")
    order = if rem(number, 2) == 0, do: sessions, else: Enum.reverse(sessions)
    for {door, session} <- order, load <- @loads, into: %{}, do: {{door, load}, measure(load, session)}
  end

  defp measure(:one, session) do
    sorted = Enum.sort(for _call <- 1..@one_calls, do: seconds(fn -> call(session) end))
    Enum.at(sorted, div(@one_calls, 10))
  end

  defp measure(:many, session) do
    @many_calls /
      seconds(fn ->
        for _call <- 1..@in_flight, do: ask(session)

        for _call <- (@in_flight + 1)..@many_calls do
          answer()
          ask(session)
        end

        for _call <- 1..@in_flight, do: answer()
      end)
  end

  defp measure(:callers, session) do
    each = div(@many_calls, @callers)

    seconds =
      seconds(fn ->
        1..@callers
        |> Enum.map(fn _caller -> Task.async(fn -> for(_call <- 1..each, do: call(session)) end) end)
        |> Task.await_many(:infinity)
      end)

    @callers * each / seconds
  end

  # There and back, as one frame each way, a new text each time, so that nothing comes from the cache.
  defp measure(:large, session) do
    texts = for number <- 1..@large_calls, do: String.pad_leading("#{number}", @large_bytes, "x")

    seconds =
      seconds(fn ->
        for text <- texts do
          inputs = %{"prompt" => %{"text" => text <> "#{System.unique_integer()}"}}
          {:ok, _outputs} = Graphport.demand(session, "answer", inputs: inputs)
        end
      end)

    2 * @large_calls * @large_bytes / 1_048_576 / seconds
  end

  defp call(session) do
    ask(session)
    answer()
  end

  defp ask(session), do: {:ok, _demand} = Graphport.demand_async(session, "answer")
  defp answer, do: receive(do: ({:demand_complete, "answer", _outputs} -> :ok))

  # -- figures ---------------------------------------------------------------------------------------------------

  defp rows(rounds) do
    IO.puts(:stderr, "")
    row(rounds, "ErlPort door / pipe: 1 in flight, p10", :one, &"#{Float.round(&1 * 1.0e6, 1)} us")
    row(rounds, "ErlPort door / pipe: 64 in flight, one caller", :many, &"#{Float.round(&1 / 1_000, 1)}k/s")
    row(rounds, "ErlPort door / pipe: 16 callers", :callers, &"#{Float.round(&1 / 1_000, 1)}k/s")
    row(rounds, "ErlPort door / pipe: 200 kB text, there and back", :large, &"#{round(&1)} MiB/s")
  end

  defp row(rounds, figure, load, show) do
    ratio = median(for round <- rounds, do: round[{:erlport, load}] / round[{:port, load}])

    [value, peer] =
      for door <- [:erlport, :port], do: rounds |> Enum.map(& &1[{door, load}]) |> median() |> show.()

    IO.puts("#{figure}\t#{value}\t#{peer}\t#{:erlang.float_to_binary(ratio, decimals: 2)}x\t")
  end

  defp seconds(fun) do
    began = System.monotonic_time(:nanosecond)
    fun.()
    (System.monotonic_time(:nanosecond) - began) / 1.0e9
  end

  defp median(values), do: values |> Enum.sort() |> Enum.at(div(length(values), 2))
end

Bench.Erlport.run()
