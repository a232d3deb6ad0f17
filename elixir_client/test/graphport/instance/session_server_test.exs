defmodule Graphport.Instance.SessionServerTest do
  # Sessions: loading, closing, their owner's death, loading anew.
  use Graphport.Case, async: true

  alias Graphport.{Error, Instance, Session}
  alias Graphport.Instance.SessionServer

  setup %{name: name} do
    start_peer(name)
    :ok
  end

  test "a graph that the engine refuses is an error and leaves no process", %{name: name} do
    assert {:error, %Error{code: :invalid_graph, details: %{"faults" => []}}} =
             Graphport.open(name, %{"error" => "invalid_graph"})

    assert_raise Error, fn -> Graphport.open!(name, %{"error" => "invalid_graph"}) end
    eventually(fn -> match?({:ok, %{open_sessions: 0}}, Graphport.info(name)) end)
  end

  test "graphs come as map, text and file", %{name: name} do
    assert %Session{} = Graphport.open!(name, %{nodes: [], edges: []})
    assert %Session{} = Graphport.open!(name, {:json, ~s({"nodes": [], "edges": []})})
    path = Path.join(System.tmp_dir!(), "graphport-#{System.unique_integer([:positive])}.json")
    File.write!(path, ~s({"nodes": []}))
    on_exit(fn -> File.rm(path) end)
    assert %Session{} = Graphport.open!(name, {:file, path})

    assert {:error, %Error{code: :invalid_graph, message: text}} =
             Graphport.open(name, {:file, path <> ".none"})

    assert text =~ "no such file"

    assert {:error, %Error{code: :invalid_graph, message: text}} =
             Graphport.open(name, {:json, ~s({"nodes": [})})

    assert text =~ "at byte 11"
    assert {:error, %Error{code: :invalid_graph}} = Graphport.open(name, {:json, "[]"})
    assert {:error, %Error{code: :unencodable_value}} = Graphport.open(name, %{nodes: self()})
    assert_raise ArgumentError, ~r/expected a graph/, fn -> Graphport.open(name, "graph") end
  end

  test "an instance that does not run is an error", %{name: name} do
    assert {:error, %Error{code: :unknown_instance, message: text}} = Graphport.open(:"#{name} other", %{})
    assert text =~ "no Graphport instance"
  end

  test "loading ends with its time-out", %{name: name} do
    assert {:error, %Error{code: :deadline_exceeded}} = Graphport.open(name, %{silent: true}, timeout: 50)
    {:ok, session} = Graphport.open(name, %{})
    assert {:ok, %{"ids" => [_id]}} = Graphport.demand(session, "closes:1")
  end

  test "close/1 tells the engine; afterwards the session is unknown", %{name: name} do
    {:ok, session} = Graphport.open(name, %{})
    {:ok, other} = Graphport.open(name, %{})
    assert :ok = Graphport.close(session)
    assert :ok = Graphport.close(session)
    assert {:ok, %{"ids" => [_id]}} = Graphport.demand(other, "closes:1")
    assert {:error, %Error{code: :unknown_session}} = Graphport.demand(session, "echo")
    assert {:error, %Error{code: :unknown_session}} = Graphport.demand_async(session, "echo")
    assert mailbox() == []
  end

  test "a session that is being closed gives nobody its route, and closes once", %{name: name} do
    {:ok, session} = Graphport.open(name, %{"deaf_to_close" => true})
    {:ok, other} = Graphport.open(name, %{})
    {:ok, instance} = Instance.fetch(name)
    first = Task.async(fn -> Graphport.close(session) end)
    second = Task.async(fn -> Graphport.close(session) end)
    eventually(fn -> length(:sys.get_state(session.pid).closing) == 2 end)

    assert {:error, %Error{code: :unknown_session}} = SessionServer.route(session, 5_000)
    assert {:error, %Error{code: :unknown_session, node_id: nil}} = Graphport.demand_async(session, "echo")
    assert :ets.lookup(instance.routes, session.id) == []

    assert {:ok, %{"ids" => [_one]}} = Graphport.demand(other, "closes:1")
    {:ok, _outputs} = Graphport.demand(other, "answer_closes")
    assert [:ok, :ok] = Task.await_many([first, second])
    assert {:ok, %{"ids" => [_one]}} = Graphport.demand(other, "closes:1")
  end

  test "a session closes when its owner ends, unless it has none", %{name: name} do
    me = self()

    owner =
      spawn(fn ->
        send(me, {:sessions, Graphport.open!(name, %{}), Graphport.open!(name, %{}, owner: :none)})
        receive do: (:end -> :ok)
      end)

    assert_receive {:sessions, owned, free}, 5_000
    {:ok, %{"session" => wire_id}} = Graphport.demand(owned, "echo")
    Process.exit(owner, :kill)
    assert {:ok, %{"ids" => [^wire_id]}} = Graphport.demand(free, "closes:1")
    eventually(fn -> not Process.alive?(owned.pid) end)
    assert {:error, %Error{code: :unknown_session}} = Graphport.demand(owned, "echo")
    assert {:ok, _outputs} = Graphport.demand(free, "echo")
  end

  test "a session is loaded anew once, however many callers need it", %{name: name} do
    {:ok, session} = Graphport.open(name, %{})
    {:ok, _demand} = Graphport.demand_async(session, "die")
    assert_receive {:demand_error, "die", %Error{code: :engine_down}}, 5_000
    tasks = for _ <- 1..16, do: Task.async(fn -> Graphport.demand(session, "echo") end)
    ids = for {:ok, %{"session" => id}} <- Task.await_many(tasks, 20_000), do: id
    assert length(ids) == 16
    assert [_one] = Enum.uniq(ids)
    assert {:ok, %{"ids" => [_one]}} = Graphport.demand(session, "opens:1")
  end

  test "a graph whose loading kills the engine is an error in the end, and hurts nobody else", %{name: name} do
    assert {:error, %Error{code: :engine_down, message: text}} =
             Graphport.open(name, %{die: true}, timeout: :infinity)

    assert text =~ "exit status 9"
    {:ok, session} = Graphport.open(name, %{})
    assert {:ok, %{"ids" => [_one]}} = Graphport.demand(session, "opens:1")
  end

  describe "a named session" do
    test "is found by its name, and works", %{name: name} do
      assert {:error, %Error{code: :unknown_session, message: text}} = Graphport.session(name, "mine")
      assert text =~ ~s("mine")
      {:ok, session} = Graphport.open(name, %{}, name: "mine")
      assert Graphport.session(name, "mine") == {:ok, session}
      assert {:ok, _outputs} = Graphport.demand(session, "echo")
      {:ok, other} = Graphport.open(name, %{}, name: {:any, %{term: 1}})
      assert Graphport.session(name, {:any, %{term: 1}}) == {:ok, other}
      assert {:error, %Error{code: :unknown_session}} = Graphport.session(name, "other")
    end

    test "has its name alone in its instance", %{name: name} do
      {:ok, session} = Graphport.open(name, %{}, name: :mine)

      assert {:error, %Error{code: :duplicate_id, message: text}} = Graphport.open(name, %{}, name: :mine)
      assert text =~ "Graphport.session/2"
      assert {:ok, %{open_sessions: 1}} = Graphport.info(name)
      assert {:ok, _outputs} = Graphport.demand(session, "echo")
      other = start_peer_beside(name)
      assert {:ok, %Session{instance: ^other}} = Graphport.open(other, %{}, name: :mine)
      assert {:error, %Error{code: :unknown_instance}} = Graphport.session(:"#{name} third", :mine)
    end

    test "is opened by one of many that try at once", %{name: name} do
      opened =
        1..16
        |> Enum.map(fn _ -> Task.async(fn -> Graphport.open(name, %{}, name: :mine, owner: :none) end) end)
        |> Task.await_many(20_000)

      assert [{:ok, session}] = Enum.filter(opened, &match?({:ok, _session}, &1))
      assert Enum.count(opened, &match?({:error, %Error{code: :duplicate_id}}, &1)) == 15
      assert Graphport.session(name, :mine) == {:ok, session}
      assert {:ok, %{"ids" => [_one]}} = Graphport.demand(session, "opens:1")
    end

    test "frees its name before the engine has closed it", %{name: name} do
      {:ok, session} = Graphport.open(name, %{}, name: :mine)
      {:ok, _demand} = Graphport.demand_async(session, "hang")
      closing = Task.async(fn -> Graphport.close(session) end)
      eventually(fn -> match?({:error, _unknown}, Graphport.session(name, :mine)) end)
      assert Task.yield(closing, 0) == nil
      stop_supervised({Graphport, name})
      assert Task.await(closing) == :ok
    end

    test "frees its name when it is closed, at once", %{name: name} do
      for _ <- 1..100 do
        {:ok, session} = Graphport.open(name, %{}, name: :mine)
        :ok = Graphport.close(session)
        assert {:error, %Error{code: :unknown_session}} = Graphport.session(name, :mine)
      end
    end

    test "frees its name when loading fails, at once", %{name: name} do
      for _ <- 1..100 do
        assert {:error, %Error{code: :invalid_graph}} =
                 Graphport.open(name, %{error: "invalid_graph"}, name: :mine)

        assert {:error, %Error{code: :deadline_exceeded}} =
                 Graphport.open(name, %{silent: true}, name: :mine, timeout: 1)
      end

      assert {:ok, %Session{}} = Graphport.open(name, %{}, name: :mine)
    end

    test "ends with its owner, or with nobody", %{name: name} do
      task = Task.async(fn -> Graphport.open!(name, %{}, name: :owned) end)
      Task.await(task)
      eventually(fn -> match?({:error, _error}, Graphport.session(name, :owned)) end)
      assert {:ok, _session} = Graphport.open(name, %{}, name: :owned)

      task = Task.async(fn -> Graphport.open!(name, %{}, name: :free, owner: :none) end)
      free = Task.await(task)
      assert Graphport.session(name, :free) == {:ok, free}
      assert {:ok, _outputs} = Graphport.demand(free, "echo")
    end

    test "keeps its name when the engine, its owner or the log relay dies", %{name: name} do
      {:ok, session} = Graphport.open(name, %{}, name: :mine)
      {:ok, instance} = Graphport.Instance.fetch(name)

      for process <- [hd(instance.owners), instance.log_relay] do
        {:ok, _demand} = Graphport.demand_async(session, "silent")
        pid = Process.whereis(process)
        Process.exit(pid, :kill)
        eventually(fn -> Process.whereis(process) not in [pid, nil] end)
        assert {:ok, _outputs} = Graphport.demand(session, "echo")
        assert Graphport.session(name, :mine) == {:ok, session}
      end

      {:ok, _demand} = Graphport.demand_async(session, "die")
      assert_receive {:demand_error, "die", %Error{code: :engine_down}}, 5_000
      assert {:ok, _outputs} = Graphport.demand(session, "echo")
      assert Graphport.session(name, :mine) == {:ok, session}
    end

    test "is all that the registry of names takes with it when it dies", %{name: name} do
      {:ok, unnamed} = Graphport.open(name, %{})
      {:ok, named} = Graphport.open(name, %{}, name: :mine)
      {:ok, instance} = Graphport.Instance.fetch(name)
      registry = Process.whereis(instance.registry)
      kill_parts(instance.registry, registry)
      eventually(fn -> Process.whereis(instance.registry) not in [registry, nil] end)
      assert {:ok, _outputs} = Graphport.demand(unnamed, "echo")
      refute Process.alive?(named.pid)
      assert {:error, %Error{code: :unknown_session}} = Graphport.session(name, :mine)
      assert {:ok, %Session{}} = Graphport.open(name, %{}, name: :mine)
    end
  end

  # Until it gives up starting them anew, and ends itself.
  defp kill_parts(name, registry) do
    for {_id, part, _type, _modules} when is_pid(part) <- Supervisor.which_children(registry),
        do: Process.exit(part, :kill)

    if Process.whereis(name) == registry, do: kill_parts(name, registry)
  catch
    :exit, _ended -> :ok
  end

  defp start_peer_beside(name) do
    other = :"#{name} other"
    start_peer(other)
  end
end
