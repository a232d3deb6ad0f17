defmodule Graphport.Faults.StuckEngineTest do
  # An engine from which nothing comes is killed and replaced, whatever holds it: no watcher inside it can be relied on,
  # since a C call that keeps the GIL stops them all.
  use Graphport.Case, async: true

  import Graphport.Pressure

  alias Graphport.Error

  @hang_ms 1_000
  # Long enough for an engine that lives, on a machine that is busy with other tests.
  @patient_ms 4_000
  @graph %{
    "nodes" => [
      %{"id" => "python", "type" => "stops-python"},
      %{"id" => "loop", "type" => "stops-loop"},
      %{"id" => "waits", "type" => "waits-at-gate"},
      %{"id" => "input", "type" => "text-input", "data" => %{"text" => "alive"}}
    ],
    "edges" => []
  }

  for {what, node, inputs} <- [
        {"a C call that holds the GIL", "python", %{"how" => "holds the GIL"}},
        {"a node that blocks the event loop", "loop", %{}}
      ] do
    @tag :slow
    test "by #{what}: killed, its demands get engine_down, and a new one answers", %{name: name} do
      {session, os_pid} = start_real(name, @hang_ms)
      {:ok, _demand} = Graphport.demand_async(session, "waits")
      assert_receive {:node_stream, "waits", _chunk}, 5_000

      {:ok, _demand} =
        Graphport.demand_async(session, unquote(node),
          inputs: %{unquote(node) => unquote(Macro.escape(inputs))}
        )

      assert_receive {:demand_error, "waits", %Error{code: :engine_down, message: text}}, 20_000
      assert text =~ "said nothing for #{@hang_ms} ms"
      assert_receive {:demand_error, unquote(node), %Error{code: :engine_down}}, 5_000
      assert {:ok, %{"text" => "alive"}} = Graphport.demand(session, "input", timeout: 20_000)
      eventually(fn -> not os_alive?(os_pid) end)
      assert os_pid(name) != os_pid
      assert mailbox() == []
    end
  end

  test "by SIGSTOP, with its pipe full and a crowd that waits: all end, and the next one serves", %{
    name: name
  } do
    start_peer(name, hang_timeout: @hang_ms)
    {:ok, session} = Graphport.open(name, %{})
    os_pid = os_pid(name)
    stop(os_pid)
    {unread, _error} = fill(session, "silent")
    crowd = for _ <- 1..100, do: Task.async(fn -> Graphport.demand(session, "echo", timeout: 600_000) end)
    for _ <- 1..unread, do: assert_receive({:demand_error, "silent", %Error{code: :engine_down}}, 20_000)
    ends = Task.await_many(crowd, 20_000)
    assert length(ends) == 100

    # Those of the crowd have written nothing: one that sees the end before the owner does goes on with the next engine.
    assert Enum.reject(
             ends,
             &(match?({:ok, _outputs}, &1) or match?({:error, %Error{code: :engine_down}}, &1))
           ) == []

    assert {:ok, %{}} = Graphport.demand(session, "echo")
    eventually(fn -> not os_alive?(os_pid) end)
    assert {:ok, %{open_demands: 0}} = Graphport.info(name)
    assert mailbox() == []
  end

  @tag :slow
  test "a thread that sleeps does not count: the engine lives on", %{name: name} do
    {session, os_pid} = start_real(name, @patient_ms)
    {:ok, demand} = Graphport.demand_async(session, "python", inputs: %{"python" => %{"how" => "sleeps"}})
    pings = pings(name, 0)
    # More silence than it would take, but for the answers to the pings.
    eventually(fn -> pings(name, pings) > 7 end, 20_000)
    assert os_pid(name) == os_pid
    :ok = Graphport.cancel(demand)
    assert_receive {:demand_error, "python", %Error{code: :cancelled}}, 5_000
    assert {:ok, %{"text" => "alive"}} = Graphport.demand(session, "input")
  end

  defp start_real(name, hang_ms) do
    start_engine(name, nodes: ["graphport_waiting_nodes"], hang_timeout: hang_ms)
    {:ok, session} = Graphport.open(name, @graph)
    assert {:ok, %{"text" => "alive"}} = Graphport.demand(session, "input")
    {session, os_pid(name)}
  end

  # Frames that were written since, when nobody else writes: the owner's pings.
  defp pings(name, since) do
    {_epoch, port, _credit} = pipe(name)
    {:output, bytes} = Port.info(port, :output)
    if since == 0, do: bytes, else: div(bytes - since, 7)
  end
end
