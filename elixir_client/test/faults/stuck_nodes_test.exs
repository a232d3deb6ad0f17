defmodule Graphport.Faults.StuckNodesTest do
  # Nodes of the real engine that do not end when they are cancelled: nothing waits for them, seven are borne, and with
  # eight the engine is replaced.
  use Graphport.Case, async: true

  alias Graphport.{Error, LogHandler}

  setup %{name: name} = context do
    start_engine(name, nodes: ["graphport_stuck_nodes"], transport: context[:transport] || :port)
    LogHandler.attach(name)

    nodes =
      for {id, type} <- [{"thread", "sleeps-for-ever"}, {"async", "goes-on-for-ever"}, {"fine", "fine"}],
          do: %{id: id, type: type}

    {:ok, session: Graphport.open!(name, %{nodes: nodes, edges: []}), os_pid: os_pid(name)}
  end

  # One after the other: an engine may have fewer threads than that.
  defp make_stuck(session, node, numbers) do
    for number <- numbers do
      {:ok, demand} = Graphport.demand_async(session, node)
      assert_receive {:node_stream, ^node, "begun"}, 10_000
      :ok = Graphport.cancel(demand)
      assert_receive {:demand_error, ^node, %Error{code: :cancelled}}, 10_000
      assert_stuck(number)
    end
  end

  defp assert_stuck(number) do
    receive do
      {:log, :warning, text, _meta} -> if text =~ "(#{number} stuck)", do: :ok, else: assert_stuck(number)
    after
      10_000 -> flunk("number #{number} did not count as stuck")
    end
  end

  for {node, transport} <- [{"thread", :port}, {"async", :port}, {"thread", :erlport}] do
    @tag :capture_log
    @tag transport: transport
    test "seven are borne, and with eight the engine is replaced: #{node}, #{transport}", context do
      %{session: session, name: name, os_pid: os_pid} = context
      make_stuck(session, unquote(node), 1..7)
      assert {:ok, %{"value" => "fine"}} = Graphport.demand(session, "fine", fresh: true)
      assert {:ok, %{status: :up, engines: [%{os_pid: ^os_pid, restarts: 0}]}} = Graphport.info(name)

      {:ok, last} = Graphport.demand_async(session, unquote(node), tag: :last)
      assert_receive {:graphport, :last, {:node_stream, _node, "begun"}}, 10_000
      :ok = Graphport.cancel(last)
      assert_receive {:graphport, :last, {:demand_error, _node, %Error{code: :cancelled}}}, 10_000

      eventually(
        fn -> match?({:ok, %{engines: [%{status: :up, restarts: 1}]}}, Graphport.info(name)) end,
        20_000
      )

      assert {:ok, %{"value" => "fine"}} = Graphport.demand(session, "fine")
      refute os_pid(name) == os_pid
      eventually(fn -> not os_alive?(os_pid) end)
    end
  end
end
