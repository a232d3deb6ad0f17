defmodule Graphport.Faults.DegradedTest do
  # An engine that says it is degraded gets nothing new, may finish what is open, and is replaced. With the scripted
  # peer; `stuck_nodes_test.exs` has the real engine say it.
  use Graphport.Case, async: true

  alias Graphport.Error

  defp engines(name) do
    {:ok, %{engines: engines}} = Graphport.info(name)
    engines
  end

  defp who(session) do
    {:ok, %{"os_pid" => os_pid}} = Graphport.demand(session, "who")
    os_pid
  end

  defp degrade(session), do: {:ok, %{}} = Graphport.demand(session, "degraded")

  test "an engine without open demands is replaced at once, and sessions go to the new one", %{name: name} do
    start_peer(name, drain_timeout: :infinity)
    session = Graphport.open!(name, %{})
    old = os_pid(name)
    degrade(session)
    new = who(session)
    refute new == old
    assert [%{status: :up, restarts: 1, os_pid: ^new}] = engines(name)
    eventually(fn -> not os_alive?(old) end)
    assert mailbox() == []
  end

  test "what is open may end first; what is new goes to another engine", %{name: name} do
    start_peer(name, engines: 2, drain_timeout: :infinity)
    [first, second] = for _ <- 1..2, do: Graphport.open!(name, %{})
    old = who(first)
    other = who(second)
    {:ok, open} = Graphport.demand_async(first, "silent")
    degrade(first)

    assert who(first) == other
    assert for(_ <- 1..3, do: name |> Graphport.open!(%{}) |> who()) == [other, other, other]
    assert %{status: :draining, open_demands: 1} = Enum.find(engines(name), &(&1.os_pid == old))
    assert {:ok, %{status: :degraded}} = Graphport.info(name)
    refute_received {:demand_error, _node, _error}

    :ok = Graphport.cancel(open)
    assert_receive {:demand_error, "silent", %Error{code: :cancelled}}, 5_000
    eventually(fn -> match?({:ok, %{status: :up}}, Graphport.info(name)) end)
    refute old in Enum.map(engines(name), & &1.os_pid)
    eventually(fn -> not os_alive?(old) end)
  end

  test "what does not end in time gets engine_down, which says why", %{name: name} do
    start_peer(name, drain_timeout: 100)
    session = Graphport.open!(name, %{})
    old = os_pid(name)
    {:ok, _demand} = Graphport.demand_async(session, "silent")
    degrade(session)
    assert_receive {:demand_error, "silent", %Error{code: :engine_down, message: text}}, 5_000
    assert text =~ "degraded: 8 nodes do not end"
    refute who(session) == old
    assert mailbox() == []
  end

  test "with no other engine, who comes waits for the new one and asks no owner again and again", %{
    name: name
  } do
    start_peer(name, drain_timeout: :infinity)
    session = Graphport.open!(name, %{})
    old = os_pid(name)
    {:ok, open} = Graphport.demand_async(session, "silent")
    degrade(session)
    waiting = Task.async(fn -> who(session) end)
    eventually(fn -> match?(%{awaiting: true}, :sys.get_state(session.pid)) end)
    :erlang.trace(session.pid, true, [:receive])
    for _ <- 1..20, do: :sys.get_state(session.pid)
    :erlang.trace(session.pid, false, [:receive])
    refute_received {:trace, _session, :receive, {:engine_up, _epoch}}

    :ok = Graphport.cancel(open)
    refute Task.await(waiting, 20_000) == old
  end

  test "a draining engine that says nothing any more is killed as any other", %{name: name} do
    start_peer(name, drain_timeout: :infinity, hang_timeout: 300)
    session = Graphport.open!(name, %{})
    {:ok, _demand} = Graphport.demand_async(session, "silent")
    degrade(session)
    signal(os_pid(name), "STOP")
    assert_receive {:demand_error, "silent", %Error{code: :engine_down, message: text}}, 10_000
    assert text =~ "said nothing for 300 ms"
  end

  test "said twice, it is done once", %{name: name} do
    start_peer(name, drain_timeout: :infinity)
    session = Graphport.open!(name, %{})
    {:ok, open} = Graphport.demand_async(session, "silent")
    for _ <- 1..2, do: {:ok, _demand} = Graphport.demand_async(session, "degraded")
    for _ <- 1..2, do: assert_receive({:demand_complete, "degraded", %{}}, 5_000)
    :ok = Graphport.cancel(open)
    assert_receive {:demand_error, "silent", %Error{code: :cancelled}}, 5_000
    assert is_integer(who(session))
    assert [%{restarts: 1}] = engines(name)
  end
end
