defmodule Graphport.Integration.SignalsTest do
  # What nodes print, write, log, fork and raise: it reaches Logger or the error, and disturbs nothing.
  use Graphport.Case, async: true

  import ExUnit.CaptureLog

  alias Graphport.{Error, LogHandler}
  alias Graphport.Port.OsProcess

  setup %{name: name} do
    LogHandler.attach(name)
    start_engine(name, nodes: ["graphport_test_nodes"])

    types = ~w(says floods forks forks-the-loop spawns fails forever text-input)
    nodes = for type <- types, do: %{id: type, type: type, data: %{text: "x", way: "x", then: "x", how: "x"}}
    {:ok, session: Graphport.open!(name, %{nodes: nodes, edges: []})}
  end

  defp say(session, way, text),
    do: assert({:ok, %{"value" => ^text}} = demand(session, "says", %{"way" => way, "text" => text}))

  defp demand(session, node, inputs), do: Graphport.demand(session, node, inputs: %{node => inputs})

  for {way, level, logger} <- [
        {"print without end", :info, "stdout"},
        {"C", :info, "stdout"},
        {"child", :info, "stdout"},
        {"child", :warning, "stderr"},
        {"info", :info, "shop.orders"},
        {"warning", :warning, "py.warnings"},
        {"error", :error, "shop.orders"},
        {"critical", :critical, "shop.orders"},
        {"extra", :error, "graphport.node.says"}
      ] do
    test "#{way} reaches Logger as #{level} of #{logger}", %{name: name, session: session} do
      capture_log(fn ->
        say(session, unquote(way), "a thing to say")
        assert_receive {:log, unquote(level), text, %{logger: unquote(logger)} = metadata}, 5_000
        assert text =~ "a thing to say"
        os_pid = os_pid(name)
        assert %{graphport: ^name, os_pid: ^os_pid, meta: meta} = metadata

        if unquote(way) == "extra",
          do: assert(%{"node_id" => "says", "order_id" => 7, "thread" => _, "file" => _, "line" => _} = meta)
      end)
    end
  end

  for way <- ["stderr", "C"] do
    test "10 MB on #{way} amid a stream are dropped, and the demand completes", %{session: session} do
      capture_log(fn ->
        inputs = %{"floods" => %{"way" => unquote(way)}}
        {:ok, _demand} = Graphport.demand_async(session, "floods", inputs: inputs)
        chunks = chunks("floods")
        assert Enum.join(chunks) == "before after"

        if unquote(way) == "stderr" do
          assert_receive {:log, :warning, text, %{logger: "graphport.logs", meta: %{"dropped" => count}}},
                         5_000

          assert text =~ "#{count} log lines were dropped"
          assert count in 5_000..10_240
        end

        assert {:ok, %{"text" => "x"}} = Graphport.demand(session, "text-input")
      end)
    end
  end

  test "a forked child that lives on disturbs nothing and holds nothing", %{name: name, session: session} do
    capture_log(fn ->
      engine = os_pid(name)
      {:ok, %{"value" => child}} = demand(session, "forks", %{"then" => "lives on"})
      assert_receive {:log, :info, "the child writes", _metadata}, 5_000
      assert_receive {:log, :info, "the child prints", _metadata}, 5_000
      {:ok, %{"value" => program}} = demand(session, "spawns", %{})
      assert {:ok, %{"text" => "x"}} = Graphport.demand(session, "text-input")

      {:ok, _demand} = Graphport.demand_async(session, "forever")
      OsProcess.kill(engine, OsProcess.start_time(engine))
      assert_receive {:demand_error, "forever", %Error{code: :engine_down}}, 5_000
      assert {:ok, %{"text" => "x"}} = Graphport.demand(session, "text-input")
      refute os_pid(name) == engine
      eventually(fn -> not os_alive?(child) end)
      # A program is the node's own affair.
      assert os_alive?(program)
      OsProcess.kill(program, OsProcess.start_time(program))
    end)
  end

  test "a forked child that returns like the node ends, and answers nobody", %{session: session} do
    for {node, inputs} <- [{"forks", %{"then" => "returns"}}, {"forks-the-loop", %{}}] do
      assert {:ok, %{"value" => child}} = demand(session, node, inputs)
      assert child > 0
      eventually(fn -> not os_alive?(child) end)
    end

    assert {:ok, %{"text" => "x"}} = Graphport.demand(session, "text-input")
  end

  test "an exception is one line to read, and its traceback says where", %{session: session} do
    assert {:error, %Error{code: :node_failed} = error} = demand(session, "fails", %{"how" => "lines"})

    assert Exception.message(error) ==
             ~s|node_failed in node "fails": node 'fails' (fails) raised ValueError: first line second line|

    assert [_head | _] = lines = String.split(error.traceback, "\n", trim: true)
    assert Enum.any?(lines, &(&1 =~ ~r/graphport_test_nodes.py", line \d+, in fails/))
    assert Enum.take(lines, -2) == ["ValueError: first line", "  second line"]

    assert {:error, %Error{exception: "ValueError", node_id: "fails"} = error} =
             demand(session, "fails", %{"how" => "surrogate"})

    assert error.message =~ "bad \\ud800 text"
    assert error.traceback =~ "in fails"

    assert {:error, %Error{exception: "SystemExit"}} = demand(session, "fails", %{"how" => "exit"})
    assert {:error, %Error{exception: "KeyError"} = error} = demand(session, "fails", %{"how" => "silently"})
    assert Exception.message(error) == ~s|node_failed in node "fails": node 'fails' (fails) raised KeyError|
    assert {:ok, %{"text" => "x"}} = Graphport.demand(session, "text-input")
  end

  # The chunks of a demand, which must complete.
  defp chunks(node) do
    receive do
      {:node_stream, ^node, chunk} -> [chunk | chunks(node)]
      {:demand_complete, ^node, _outputs} -> []
    after
      20_000 -> flunk("no last message")
    end
  end
end
