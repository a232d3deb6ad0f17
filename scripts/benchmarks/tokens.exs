# What a streamed token costs on its way to a process that is not the owner, against a C program that writes one frame for
# each token (tokens.c) and an owner that passes it on. Run by `scripts/bench`; rows for table.py go to standard output.

defmodule Bench.Owner do
  # Owns the program, and passes each of its frames to the process that asked.
  use GenServer

  def start_link(program), do: GenServer.start_link(__MODULE__, program)

  @impl true
  def init(program) do
    options = [:binary, :nouse_stdio, :exit_status, {:packet, 4}]
    {:ok, {Port.open({:spawn_executable, program}, options), %{}}}
  end

  @impl true
  def handle_info({port, {:data, <<id::64, token::binary>>}}, {port, receivers} = state) do
    send(Map.fetch!(receivers, id), {:token, token})
    {:noreply, state}
  end

  def handle_info({:ask, receiver, id, count}, {port, receivers}) do
    Port.command(port, <<id::64, count::32>>)
    {:noreply, {port, Map.put(receivers, id, receiver)}}
  end
end

defmodule Bench.Tokens do
  @rounds 9
  @tokens 20_000
  @graph %{"nodes" => [%{"id" => "n", "type" => "tokens"}], "edges" => []}

  def run(build) do
    nodes = [name: Bench.Graphs, nodes: ["bench_nodes"], python_path: [Path.join(__DIR__, "nodes")]]
    {:ok, _} = Supervisor.start_link([{Graphport, nodes}], strategy: :one_for_one)
    session = Graphport.open!(Bench.Graphs, @graph)
    program = Path.join(build, "tokens")

    peer =
      if File.exists?(program) do
        {:ok, owner} = Bench.Owner.start_link(program)
        owner
      end

    for(number <- 0..@rounds, do: round(number, session, peer)) |> tl() |> rows()
  end

  defp round(number, session, peer) do
    IO.write(:stderr, ".")
    loads = [each: fn -> ours(session, true) end, batched: fn -> ours(session, false) end]
    loads = if peer, do: [{:peer, fn -> theirs(peer, number) end} | loads], else: loads
    {back, front} = Enum.split(loads, rem(number, length(loads)))
    for {name, load} <- front ++ back, into: %{}, do: {name, @tokens / seconds(load)}
  end

  # The receiver is a process of its own, which is neither the owner nor the one that asks.
  defp ours(session, one_by_one) do
    receiving(fn receiver ->
      inputs = %{"n" => %{"count" => @tokens, "one_by_one" => one_by_one}}
      {:ok, _demand} = Graphport.demand_async(session, "n", inputs: inputs, to: receiver)
    end)
  end

  defp theirs(owner, id), do: receiving(fn receiver -> send(owner, {:ask, receiver, id, @tokens}) end)

  defp receiving(ask) do
    parent = self()

    receiver =
      spawn_link(fn ->
        receive_all(@tokens * byte_size("a token"))
        send(parent, :done)
      end)

    ask.(receiver)
    receive(do: (:done -> :ok))
  end

  defp receive_all(0), do: :ok

  defp receive_all(left) do
    receive do
      {:token, token} -> receive_all(left - byte_size(token))
      {:node_stream, "n", token} -> receive_all(left - byte_size(token))
      {:demand_error, "n", error} -> raise error
    end
  end

  defp rows(rounds) do
    IO.puts(:stderr, "")
    row(rounds, "tokens to another process, a frame each", :each, ">=0.3x")
    row(rounds, "tokens to another process, a backlog", :batched, ">=1.2x")
  end

  defp row(rounds, figure, name, target) do
    value = show(rounds, name)

    if is_map_key(hd(rounds), :peer) do
      ratio = rounds |> Enum.map(&(&1[name] / &1.peer)) |> median()
      ratio = :erlang.float_to_binary(ratio, decimals: 2)
      IO.puts("#{figure}\t#{value}\t#{show(rounds, :peer)}\t#{ratio}x\t#{target}")
    else
      IO.puts("#{figure}\t#{value}\t\t\t#{target}")
    end
  end

  defp show(rounds, name), do: "#{rounds |> Enum.map(& &1[name]) |> median() |> Kernel./(1_000) |> round()}k/s"

  defp seconds(fun) do
    {microseconds, _result} = :timer.tc(fun)
    microseconds / 1_000_000
  end

  defp median(values), do: values |> Enum.sort() |> Enum.at(div(length(values), 2))
end

Bench.Tokens.run(System.fetch_env!("GRAPHPORT_BENCH_BUILD"))
