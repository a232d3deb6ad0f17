defmodule Graphport.Instance.JanitorTest do
  # What is cleaned up after callers, sessions and writers that died.
  use Graphport.Case, async: true

  alias Graphport.Instance
  alias Graphport.Instance.{Demands, Pool}
  alias Graphport.Port.Credit

  setup %{name: name} do
    start_peer(name)
    {:ok, session} = Graphport.open(name, %{})
    {:ok, instance} = Instance.fetch(name)
    {:ok, session: session, instance: instance}
  end

  test "a caller that dies cancels its demands", %{session: session, name: name, instance: instance} do
    me = self()

    caller =
      spawn(fn ->
        for n <- 1..3, do: {:ok, _demand} = Graphport.demand_async(session, "silent:#{n}")
        send(me, :demanded)
        receive do: (:end -> :ok)
      end)

    assert_receive :demanded, 5_000
    Process.exit(caller, :kill)
    assert {:ok, %{"ids" => ids}} = Graphport.demand(session, "cancels:3")
    assert length(Enum.uniq(ids)) == 3
    refute :ets.member(instance.watched, caller)
    assert {:ok, %{open_demands: 0}} = Graphport.info(name)
  end

  test "so does the receiver of another's demand", %{session: session} do
    receiver = spawn(fn -> receive do: (:end -> :ok) end)
    {:ok, demand} = Graphport.demand_async(session, "silent", to: receiver)
    Process.exit(receiver, :kill)
    assert {:ok, %{"ids" => [id]}} = Graphport.demand(session, "cancels:1")
    assert id == demand.ref
  end

  test "a receiver that is dead already makes no open demand", %{session: session, name: name} do
    receiver = spawn(fn -> :ok end)
    monitor = Process.monitor(receiver)
    assert_receive {:DOWN, ^monitor, :process, _pid, _reason}
    {:ok, _demand} = Graphport.demand_async(session, "silent", to: receiver)
    assert {:ok, %{"ids" => [_id]}} = Graphport.demand(session, "cancels:1")
    assert {:ok, %{open_demands: 0}} = Graphport.info(name)
  end

  test "a process that waits in demand/3 and dies cancels too", %{session: session} do
    caller = spawn(fn -> Graphport.demand(session, "silent", timeout: :infinity) end)
    assert {:ok, %{}} = Graphport.demand(session, "opens:1")
    eventually(fn -> match?({:ok, %{open_demands: 1}}, Graphport.info(session.instance)) end)
    Process.exit(caller, :kill)
    assert {:ok, %{"ids" => [_id]}} = Graphport.demand(session, "cancels:1")
  end

  test "many callers that die at once", %{session: session, name: name} do
    callers =
      for _ <- 1..100 do
        spawn(fn ->
          for _ <- 1..3, do: {:ok, _demand} = Graphport.demand_async(session, "silent")
          receive do: (:end -> :ok)
        end)
      end

    eventually(fn -> match?({:ok, %{open_demands: 300}}, Graphport.info(name)) end)
    Enum.each(callers, &Process.exit(&1, :kill))
    assert {:ok, %{"ids" => ids}} = Graphport.demand(session, "cancels:300")
    assert length(Enum.uniq(ids)) == 300
  end

  test "monitors of callers without an open demand are given up", %{session: session, instance: instance} do
    janitor = Process.whereis(instance.janitor)
    {:ok, _outputs} = Graphport.demand(session, "echo")
    # The answer may be here before the janitor has read that it should watch.
    assert %{monitors: monitors} = :sys.get_state(janitor)
    assert Map.has_key?(monitors, self())
    assert :ets.member(instance.watched, self())
    send(janitor, :sweep)
    assert %{monitors: monitors} = :sys.get_state(janitor)
    refute Map.has_key?(monitors, self())
    refute :ets.member(instance.watched, self())
    {:ok, demand} = Graphport.demand_async(session, "silent")
    send(janitor, :sweep)
    assert %{monitors: %{}} = state = :sys.get_state(janitor)
    assert Map.has_key?(state.monitors, self())
    Graphport.cancel(demand)
  end

  test "a session whose process was killed is closed in the engine", %{session: session, instance: instance} do
    {:ok, other} = Graphport.open(instance.name, %{})
    {:ok, %{"session" => wire_id}} = Graphport.demand(other, "echo")
    Process.exit(other.pid, :kill)
    eventually(fn -> not Process.alive?(other.pid) end)
    assert {:ok, %{"ids" => [^wire_id]}} = Graphport.demand(session, "closes:1", timeout: 5_000)
  end

  test "so is one that is killed while it loads its graph", %{
    session: session,
    instance: instance,
    name: name
  } do
    engine = os_pid(name)
    signal(engine, "STOP")
    # It never comes back.
    spawn(fn -> Graphport.open(name, %{}) end)
    eventually(fn -> match?({:ok, %{open_sessions: 2, open_demands: 1}}, Graphport.info(name)) end)
    sessions = for {_id, pid, _type, _modules} <- DynamicSupervisor.which_children(instance.sessions), do: pid
    [loading] = sessions -- [session.pid]
    Process.exit(loading, :kill)
    eventually(fn -> match?([{_epoch, 1, false}], :ets.tab2list(instance.placements)) end)
    signal(engine, "CONT")
    assert {:ok, %{"ids" => [_wire_id]}} = Graphport.demand(session, "closes:1", timeout: 5_000)
    assert {:ok, %{open_demands: 0, open_sessions: 1}} = Graphport.info(name)
  end

  test "a janitor that crashes takes the engine with it, and demands are answered", %{session: session} do
    {:ok, _demand} = Graphport.demand_async(session, "silent")
    {:ok, instance} = Instance.fetch(session.instance)
    Process.exit(Process.whereis(instance.janitor), :kill)
    assert_receive {:demand_error, "silent", %Graphport.Error{}}, 5_000
  end

  test "credit that killed writers took is given back", %{session: session, instance: instance} do
    {:ok, {_epoch, _port, credit}} = Pool.any(instance)
    for _ <- 1..448, do: Credit.force(credit, 10)
    refute Credit.take(credit, 10, :normal)
    # The next pong settles it; the demand waits for that.
    assert {:ok, _outputs} = Graphport.demand(session, "echo", timeout: 10_000)
    assert {frames, _bytes} = Credit.unread(credit)
    assert frames < 64
  end

  test "whoever takes a row is the only one", %{instance: instance} do
    Demands.insert(instance, Demands.row(1, self(), :plain, self(), "n", true, 1))
    takers = for _ <- 1..8, do: Task.async(fn -> Demands.take(instance, 1) end)
    assert [{:ok, _row}] = takers |> Task.await_many() |> Enum.reject(&(&1 == :gone))
  end
end
