defmodule Graphport.Faults.WorkEndsTest do
  # However a demand is given up, its work in Python ends, and not only the waiting for it. The nodes say in a file that
  # they have begun, and that they have ended.
  use Graphport.Case, async: true

  alias Graphport.{Error, Instance}
  alias Graphport.Instance.Demands

  @moduletag :tmp_dir

  # One engine for all of them: each leaves it as it was.
  setup_all do
    {:ok, instance: start_engine(__MODULE__, nodes: ["graphport_stuck_nodes"])}
  end

  setup %{instance: instance, tmp_dir: tmp_dir} do
    path = Path.join(tmp_dir, "told")
    {:ok, path: path, session: Graphport.open!(instance, graph(path))}
  end

  defp graph(path) do
    nodes =
      for {id, type} <- [{"async", "works"}, {"thread", "works-in-a-thread"}],
          do: %{id: id, type: type, data: %{path: path}}

    %{nodes: nodes, edges: []}
  end

  defp told(path), do: if(File.exists?(path), do: path |> File.read!() |> String.split(), else: [])
  defp begun(path), do: eventually(fn -> told(path) == ["begun"] end, 20_000)
  defp ended(path), do: eventually(fn -> told(path) == ["begun", "ended"] end, 20_000)

  # A process that demands, and the reference of its end.
  defp demander(session, node, options \\ []) do
    test = self()

    spawn_monitor(fn ->
      {:ok, demand} = Graphport.demand_async(session, node, [events: true] ++ options)
      send(test, {:demand, self(), demand})
      follow(test)
    end)
  end

  defp follow(test) do
    receive do
      {:node_event, _node, %{"event" => "started"}} ->
        send(test, {:started, self()})
        follow(test)

      {last, _node, answer} when last in [:demand_complete, :demand_error] ->
        send(test, {:answer, self(), answer})

      _another ->
        follow(test)
    end
  end

  for node <- ["async", "thread"] do
    describe "the work ends when #{node}:" do
      @node node

      test "the demand is cancelled", %{session: session, path: path} do
        {:ok, demand} = Graphport.demand_async(session, @node, stream: false)
        begun(path)
        :ok = Graphport.cancel(demand)
        assert_receive {:demand_error, @node, %Error{code: :cancelled}}, 10_000
        ended(path)
      end

      test "the deadline of demand/3 passes", %{session: session, path: path} do
        task = Task.async(fn -> Graphport.demand(session, @node, timeout: 1_000) end)
        begun(path)
        assert {:error, %Error{code: :deadline_exceeded}} = Task.await(task, 20_000)
        ended(path)
      end

      test "its caller is killed", %{session: session, path: path} do
        {pid, monitor} = spawn_monitor(fn -> Graphport.demand(session, @node, timeout: :infinity) end)
        begun(path)
        Process.exit(pid, :kill)
        assert_receive {:DOWN, ^monitor, :process, ^pid, :killed}
        ended(path)
      end

      test "its session is closed", %{session: session, path: path} do
        {:ok, _demand} = Graphport.demand_async(session, @node, stream: false)
        begun(path)
        :ok = Graphport.close(session)
        assert_receive {:demand_error, @node, %Error{code: :cancelled}}, 10_000
        ended(path)
      end

      test "the owner of its session ends", %{instance: instance, path: path} do
        test = self()

        {owner, _monitor} =
          spawn_monitor(fn ->
            send(test, {:session, Graphport.open!(instance, graph(path))})
            receive(do: (:end -> :ok))
          end)

        assert_receive {:session, session}, 10_000
        {:ok, _demand} = Graphport.demand_async(session, @node, stream: false)
        begun(path)
        send(owner, :end)
        assert_receive {:demand_error, @node, %Error{code: :cancelled}}, 10_000
        ended(path)
      end

      test "its stream is left", %{session: session, path: path} do
        assert session |> Graphport.stream(@node) |> Enum.take(1) == ["begun"]
        ended(path)
      end

      test "the last of its demanders leaves", %{session: session, path: path} do
        [{first, _}, {second, _}] = for _ <- 1..2, do: demander(session, @node)
        for pid <- [first, second], do: assert_receive({:started, ^pid}, 10_000)
        # A node is told as started when it is given to a thread, which may take it up later.
        begun(path)
        Process.exit(first, :kill)
        assert_receive {:DOWN, _monitor, :process, ^first, :killed}
        assert_receive {:demand, ^second, demand}
        :ok = Graphport.cancel(demand)
        assert_receive {:answer, ^second, %Error{code: :cancelled}}, 10_000
        ended(path)
      end
    end

    for way <- [:cancel, :deadline, :death] do
      test "one of two demanders of #{node} leaves by #{way}, and the other gets the result", context do
        %{session: session, path: path} = context
        {stays, _monitor} = demander(session, unquote(node))
        assert_receive {:started, ^stays}, 10_000
        timeout = if unquote(way) == :deadline, do: 300, else: 60_000
        {leaves, monitor} = demander(session, unquote(node), timeout: timeout)
        assert_receive {:demand, ^leaves, demand}, 10_000

        case unquote(way) do
          :cancel ->
            assert_receive {:started, ^leaves}, 10_000
            :ok = Graphport.cancel(demand)
            assert_receive {:answer, ^leaves, %Error{code: :cancelled}}, 10_000

          :deadline ->
            assert_receive {:answer, ^leaves, %Error{code: :deadline_exceeded}}, 10_000

          :death ->
            assert_receive {:started, ^leaves}, 10_000
            Process.exit(leaves, :kill)
            assert_receive {:DOWN, ^monitor, :process, ^leaves, :killed}
            {:ok, instance} = Instance.fetch(session.instance)
            eventually(fn -> not Demands.open?(instance, demand.ref) end)
        end

        # As above: it has begun once, for both.
        begun(path)
        File.write!(path <> ".go", "")
        assert_receive {:answer, ^stays, %{"text" => "done"}}, 10_000
        assert told(path) == ["begun", "ended"]
      end
    end
  end
end
