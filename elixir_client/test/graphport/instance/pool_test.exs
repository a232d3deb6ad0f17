defmodule Graphport.Instance.PoolTest do
  use Graphport.Case, async: true

  alias Graphport.{Error, Instance}
  alias Graphport.Instance.Pool

  defp engines(name) do
    {:ok, %{engines: engines}} = Graphport.info(name)
    engines
  end

  defp engine_of(session) do
    {:ok, %{"os_pid" => os_pid}} = Graphport.demand(session, "who")
    Enum.find(engines(session.instance), &(&1.os_pid == os_pid)).index
  end

  defp open(name, count), do: for(_ <- 1..count, do: Graphport.open!(name, %{}))

  setup %{name: name} = context do
    start_peer(name, engines: context[:engines] || 3)
    {:ok, instance} = Instance.fetch(name)
    {:ok, instance: instance}
  end

  test "an instance has as many engines as it was told, each a process of its own", %{name: name} do
    assert {:ok, %{status: :up, open_demands: 0, open_sessions: 0}} = Graphport.info(name)
    assert [%{index: 0}, %{index: 1}, %{index: 2}] = engines = engines(name)
    assert engines |> Enum.map(& &1.os_pid) |> Enum.uniq() |> length() == 3

    for engine <- engines do
      assert %{status: :up, restarts: 0, sessions: 0, open_demands: 0, version: "peer", error: nil} = engine
    end
  end

  describe "a session" do
    test "goes to the engine with the fewest sessions, and is counted there until it closes", %{name: name} do
      sessions = open(name, 6)
      assert Enum.map(engines(name), & &1.sessions) == [2, 2, 2]
      assert sessions |> Enum.frequencies_by(&engine_of/1) |> Map.values() == [2, 2, 2]

      {on_second, others} = Enum.split_with(sessions, &(engine_of(&1) == 1))
      Enum.each(on_second, &Graphport.close/1)
      assert Enum.map(engines(name), & &1.sessions) == [2, 0, 2]
      assert name |> open(2) |> Enum.map(&engine_of/1) == [1, 1]
      Enum.each(others, &Graphport.close/1)
      assert Enum.map(engines(name), & &1.sessions) == [0, 2, 0]
    end

    test "avoids an engine with many open demands", %{name: name} do
      [busy, _second, _third] = open(name, 3)
      for _ <- 1..5, do: {:ok, _demand} = Graphport.demand_async(busy, "silent")
      assert engines(name) |> Enum.map(& &1.open_demands) |> Enum.sort() == [0, 0, 5]
      refute engine_of(busy) in Enum.map(open(name, 4), &engine_of/1)
    end

    test "is counted out also when its graph is refused, its owner ends or its process is killed", context do
      %{name: name} = context
      assert {:error, %Error{code: :invalid_graph}} = Graphport.open(name, %{"error" => "invalid_graph"})
      eventually(fn -> Enum.map(engines(name), & &1.sessions) == [0, 0, 0] end)

      task = Task.async(fn -> Graphport.open!(name, %{}) end)
      Task.await(task)
      eventually(fn -> Enum.map(engines(name), & &1.sessions) == [0, 0, 0] end)

      Process.exit(Graphport.open!(name, %{}).pid, :kill)
      eventually(fn -> Enum.map(engines(name), & &1.sessions) == [0, 0, 0] end)
    end

    test "whose engine dies is loaded into another at once", %{name: name} do
      [first | _others] = sessions = open(name, 3)
      index = engine_of(first)
      {:ok, _demand} = Graphport.demand_async(first, "silent")
      {:ok, _demand} = Graphport.demand_async(first, "die")
      assert_receive {:demand_error, "silent", %Error{code: :engine_down}}, 5_000
      assert_receive {:demand_error, "die", %Error{code: :engine_down}}, 5_000
      assert Enum.at(engines(name), index).status == :down
      assert {:ok, %{status: :degraded}} = Graphport.info(name)
      refute engine_of(first) == index
      eventually(fn -> match?({:ok, %{status: :up}}, Graphport.info(name)) end)
      assert Enum.at(engines(name), index).restarts == 1
      assert engines(name) |> Enum.map(& &1.sessions) |> Enum.sum() == length(sessions)
    end
  end

  test "the end of an owner fails the demands of its own engine only", %{name: name} do
    [first, second, _third] = open(name, 3)
    {:ok, _demand} = Graphport.demand_async(first, "silent", tag: :first)
    {:ok, other} = Graphport.demand_async(second, "silent", tag: :second)
    Process.exit(owner(name, engine_of(first)), :kill)
    assert_receive {:graphport, :first, {:demand_error, "silent", %Error{code: :engine_down}}}, 5_000
    assert {:ok, _outputs} = Graphport.demand(second, "echo")
    assert {:ok, _outputs} = Graphport.demand(first, "echo")
    Graphport.cancel(other)
    assert_receive {:graphport, :second, {:demand_error, "silent", %Error{code: :cancelled}}}, 5_000
    assert mailbox() == []
  end

  test "the dead caller of demands in several engines has all of them cancelled", %{name: name} do
    sessions = open(name, 3)
    test = self()

    caller =
      spawn(fn ->
        for session <- sessions, do: {:ok, _demand} = Graphport.demand_async(session, "silent")
        send(test, :asked)
        receive(do: (:never -> :ok))
      end)

    assert_receive :asked
    Process.exit(caller, :kill)
    for session <- sessions, do: assert({:ok, %{"ids" => [_id]}} = Graphport.demand(session, "cancels:1"))
  end

  test "questions are answered while any engine is up", %{name: name, instance: instance} do
    for {owner, index} <- Enum.with_index(instance.owners), index < 2 do
      :sys.suspend(owner)
      os_pid = Enum.at(engines(name), index).os_pid
      signal(os_pid, "KILL")
      eventually(fn -> not os_alive?(os_pid) end)
      :sys.resume(owner)

      eventually(fn ->
        Enum.at(engines(name), index).restarts == 1 or Enum.at(engines(name), index).status == :down
      end)
    end

    assert {:ok, [%{"what" => "nodes"}]} = Graphport.nodes(name)
  end

  test "an engine that says nothing is asked last", %{name: name, instance: instance} do
    [{epoch, _sessions, false} | _others] = :ets.tab2list(instance.placements)
    silent = Instance.engine_of(epoch)
    Pool.silent(instance, epoch, true)
    assert {:ok, {other, _port, _credit}} = Pool.any(instance)
    assert other != epoch
    refute silent in (name |> open(6) |> Enum.map(&engine_of/1))
    Pool.silent(instance, epoch, false)
    assert silent in (name |> open(2) |> Enum.map(&engine_of/1))
  end

  describe "an engine that is retired" do
    setup %{name: name, instance: instance} do
      [session | _others] = open(name, 3)
      index = engine_of(session)
      {:ok, demand} = Graphport.demand_async(session, "silent")
      [{_index, :up, epoch, _port, _credit, _facts}] = :ets.lookup(instance.engines, index)
      Pool.retire(instance, epoch)
      {:ok, session: session, index: index, demand: demand, epoch: epoch}
    end

    test "takes nothing new, while its open demands go on", context do
      %{name: name, session: session, index: index, demand: demand} = context
      assert %{status: :draining, open_demands: 1, sessions: 0} = Enum.at(engines(name), index)
      assert {:ok, %{status: :degraded}} = Graphport.info(name)
      refute engine_of(session) == index
      refute index in (name |> open(4) |> Enum.map(&engine_of/1))
      Graphport.cancel(demand)
      assert_receive {:demand_error, "silent", %Error{code: :cancelled}}, 5_000
    end
  end

  @tag engines: 1
  test "without any place sessions wait for one", %{name: name, instance: instance} do
    session = Graphport.open!(name, %{})
    {:ok, {epoch, _port, _credit}} = Pool.any(instance)
    Pool.retire(instance, epoch)
    assert {:error, %Error{code: :deadline_exceeded}} = Graphport.demand(session, "echo", timeout: 50)
    signal(os_pid(name), "KILL")
    assert {:ok, _outputs} = Graphport.demand(session, "echo")
  end
end
