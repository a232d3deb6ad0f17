# How long an engine takes to get ready, and what it holds while it is idle, beside a bare Python that does nothing.
# Run by `scripts/bench`; rows for table.py go to standard output.

defmodule Bench.Start do
  @rounds 9
  @bare "import sys; sys.stdout.write('up'); sys.stdout.flush(); sys.stdin.read()"

  def run do
    python = System.fetch_env!("GRAPHPORT_PYTHON")
    # The first of each reads everything from disk.
    [_ | ready] = for _round <- 0..@rounds, do: engine(python)
    [_ | bare] = for _round <- 0..@rounds, do: bare(python)
    IO.puts(:stderr, "")
    {times, memory} = Enum.unzip(ready)
    {bare_times, bare_memory} = Enum.unzip(bare)
    ms = &"#{round(median(&1) / 1_000)} ms"
    mib = &"#{Float.round(median(&1) / 1_024, 1)} MiB"
    seconds = Float.round(median(times) / 1_000_000, 2)
    IO.puts("engine spawned until it is ready\t#{ms.(times)}\t#{ms.(bare_times)}\t#{seconds} s\t<=0.4 s")

    ratio = Float.round(median(memory) / median(bare_memory), 1)
    IO.puts("memory of an idle engine (resident)\t#{mib.(memory)}\t#{mib.(bare_memory)}\t#{ratio}x\t")

    {:ok, supervisor} = Supervisor.start_link([{Graphport, name: Bench.Graphs}], strategy: :one_for_one)
    Supervisor.stop(supervisor)

    {microseconds, _} =
      :timer.tc(fn ->
        {:ok, _} = Supervisor.start_link([{Graphport, name: Bench.Graphs}], strategy: :one_for_one)
        session = Graphport.open!(Bench.Graphs, graph())
        {:ok, _outputs} = Graphport.demand(session, "n")
      end)

    IO.puts("start_link, open and the first demand's answer\t#{div(microseconds, 1_000)} ms\t\t\t")
  end

  # `hello` by hand: a frame with no client library in between.
  defp engine(python) do
    IO.write(:stderr, ".")
    hello = <<0x92, 0xA5, "hello", 0x83, 0xA8, "protocol", 1, 0xA6, "client", 0xA5, "bench", 0xA7, "options", 0x80>>
    options = [:binary, :nouse_stdio, {:packet, 4}, {:args, ["-m", "graphport", "port"]}]
    began = System.monotonic_time(:microsecond)
    port = Port.open({:spawn_executable, python}, options)
    Port.command(port, hello)
    receive(do: ({^port, {:data, <<0x92, 0xA5, "ready", _::binary>>}} -> :ok))
    measured(port, began)
  end

  defp bare(python) do
    IO.write(:stderr, ".")
    began = System.monotonic_time(:microsecond)
    port = Port.open({:spawn_executable, python}, [:binary, {:args, ["-c", @bare]}])
    receive(do: ({^port, {:data, "up"}} -> :ok))
    measured(port, began)
  end

  defp measured(port, began) do
    took = System.monotonic_time(:microsecond) - began
    {:os_pid, pid} = Port.info(port, :os_pid)
    [_, kilobytes] = Regex.run(~r/VmRSS:\s+(\d+) kB/, File.read!("/proc/#{pid}/status"))
    Port.close(port)
    {took, String.to_integer(kilobytes)}
  end

  defp graph, do: %{"nodes" => [%{"id" => "n", "type" => "text-input", "data" => %{"text" => "x"}}], "edges" => []}
  defp median(values), do: values |> Enum.sort() |> Enum.at(div(length(values), 2))
end

Bench.Start.run()
