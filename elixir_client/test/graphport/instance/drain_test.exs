defmodule Graphport.Instance.DrainTest do
  use Graphport.Case, async: true

  alias Graphport.Error

  # Stops the instance in another process, and returns when it takes nothing in any more.
  defp stop(name, session) do
    supervisor = Process.whereis(name)
    Process.unlink(supervisor)
    task = Task.async(fn -> Supervisor.stop(supervisor, :shutdown) end)
    # Or it has stopped by now.
    eventually(fn ->
      {_ok_or_error, answer} = Graphport.demand(session, "echo")
      match?(%Error{code: code} when code in [:shutting_down, :unknown_instance], answer)
    end)

    task
  end

  defp start(name, options) do
    {:ok, _supervisor} = Graphport.start_link(peer_options(name, options))
    Graphport.open!(name, %{})
  end

  test "what is under way may end, and nothing new begins", %{name: name} do
    session = start(name, drain_timeout: 60_000)
    {:ok, demand} = Graphport.demand_async(session, "silent")
    {:ok, _later} = Graphport.demand_async(session, "cancels:1")
    os_pid = os_pid(name)
    stopping = stop(name, session)

    assert {:error, %Error{code: :shutting_down}} = Graphport.open(name, %{})
    assert {:error, %Error{code: :shutting_down}} = Graphport.demand_async(session, "echo")
    assert_raise Error, fn -> session |> Graphport.stream("stream") |> Enum.to_list() end
    refute_received {:demand_error, _node, _error}
    assert Task.yield(stopping, 0) == nil

    Graphport.cancel(demand)
    assert_receive {:demand_error, "silent", %Error{code: :cancelled}}, 5_000
    assert_receive {:demand_complete, "cancels:1", %{"ids" => [_id]}}, 5_000
    assert Task.await(stopping) == :ok
    eventually(fn -> not os_alive?(os_pid) end)
    assert mailbox() == []
  end

  test "a stream goes on to its end, grants included", %{name: name} do
    session = start(name, drain_timeout: 60_000)

    [first | rest] =
      session
      |> Graphport.stream("count:200", window: 4)
      |> Enum.map(fn chunk ->
        if chunk == "0", do: send(self(), {:stopping, stop(name, session)})
        chunk
      end)

    assert [first | rest] == Enum.map(0..199, &Integer.to_string/1)
    assert_received {:stopping, stopping}
    assert Task.await(stopping) == :ok
  end

  test "what does not end in time is shutting_down", %{name: name} do
    session = start(name, drain_timeout: 50)
    {:ok, _demand} = Graphport.demand_async(session, "silent")
    assert name |> stop(session) |> Task.await() == :ok
    assert_received {:demand_error, "silent", %Error{code: :shutting_down}}
    assert mailbox() == []
  end

  test "an engine that dies meanwhile ends the waiting", %{name: name} do
    session = start(name, drain_timeout: :infinity)
    {:ok, _demand} = Graphport.demand_async(session, "silent")
    stopping = stop(name, session)
    signal(os_pid(name), "KILL")
    assert_receive {:demand_error, "silent", %Error{code: :engine_down}}, 5_000
    assert Task.await(stopping) == :ok
  end

  test "a crash inside the instance drains nothing", %{name: name} do
    session = start(name, drain_timeout: :infinity)
    {:ok, _demand} = Graphport.demand_async(session, "silent")
    {:ok, instance} = Graphport.Instance.fetch(name)
    Process.exit(instance.table, :kill)

    eventually(fn ->
      match?({:ok, %{table: table}} when table != instance.table, Graphport.Instance.fetch(name))
    end)

    eventually(fn -> match?({:ok, %{status: :up}}, Graphport.info(name)) end)
    assert {:ok, session} = Graphport.open(name, %{})
    assert {:ok, _outputs} = Graphport.demand(session, "echo")
    Process.unlink(Process.whereis(name))
    Supervisor.stop(name, :shutdown)
  end
end
