defmodule Graphport.DemandStreamTest do
  # Demands as enumerables: what comes out, what is granted, and what is left when it ends early.
  use Graphport.Case, async: true

  alias Graphport.Error
  alias Graphport.Port.OsProcess

  setup %{name: name} do
    start_peer(name)
    {:ok, session} = Graphport.open(name, %{})
    {:ok, session: session}
  end

  defp counted(range), do: Enum.map(range, &Integer.to_string/1)

  # Nothing of any demand is left: no row, no message, no monitor.
  defp nothing_left(name) do
    {:messages, messages} = Process.info(self(), :messages)
    assert messages == []
    assert Process.info(self(), :monitors) == {:monitors, []}
    assert {:ok, %{open_demands: 0}} = Graphport.info(name)
  end

  # An enumeration that stands still after each element, as `Stream.zip/2` does it.
  defp begin(stream),
    do: Enumerable.reduce(stream, {:suspend, nil}, fn element, _acc -> {:suspend, element} end)

  defp step({:suspended, _element, continue}), do: continue.({:cont, nil})
  defp element({:suspended, element, _continue}), do: element

  describe "what is enumerated" do
    test "chunks, in order, to the end", %{session: session, name: name} do
      assert session |> Graphport.stream("count:500") |> Enum.to_list() == counted(0..499)
      nothing_left(name)
    end

    test "chunks of the first streaming port of each node, or of all with their port", %{session: session} do
      assert session |> Graphport.stream("stream") |> Enum.to_list() == ["xa0", "ya0", "xa1", "ya1"]

      assert session |> Graphport.stream("stream", stream: :all) |> Enum.take(3) ==
               [{"a", "xa0"}, {"b", "xb0"}, {"a", "ya0"}]
    end

    test "messages, with the outputs last", %{session: session, name: name} do
      assert session |> Graphport.stream("count:2", elements: :messages) |> Enum.to_list() == [
               {:node_stream, "count:2", "0"},
               {:node_stream, "count:2", "1"},
               {:demand_complete, "count:2", %{"n" => 2}}
             ]

      assert [{:node_stream, "x", {"a", "xa0"}} | _rest] =
               session |> Graphport.stream("stream", elements: :messages, stream: :all) |> Enum.to_list()

      nothing_left(name)
    end

    test "events among the messages", %{session: session, name: name} do
      assert session |> Graphport.stream("events", elements: :messages, events: true) |> Enum.to_list() == [
               {:node_event, "", %{"event" => "planned", "nodes" => 2}},
               {:node_event, "x", %{"event" => "started"}},
               {:node_event, "x", %{"event" => "never_heard_of", "a" => [1]}},
               {:demand_complete, "events", %{}}
             ]

      nothing_left(name)
    end

    test "of several nodes", %{session: session} do
      assert [{:demand_complete, ["a", "b"], %{"a" => %{}, "b" => %{}}}] =
               session |> Graphport.stream(["a", "b"], elements: :messages) |> Enum.to_list()

      assert [{:demand_complete, "*", %{}}] =
               session |> Graphport.stream("*", elements: :messages) |> Enum.to_list()
    end

    test "nothing with stream: false", %{session: session, name: name} do
      assert session |> Graphport.stream("stream", stream: false) |> Enum.to_list() == []
      nothing_left(name)
    end
  end

  test "the engine is asked for what differs from the defaults, and for a window", %{session: session} do
    asked = fn options ->
      stream = Graphport.stream(session, "echo", [elements: :messages] ++ options)
      assert [{:demand_complete, "echo", %{"options" => wire}}] = Enum.to_list(stream)
      wire
    end

    assert asked.([]) == %{"stream" => true, "window" => 32}
    assert asked.(stream: :all, window: 5) == %{"stream" => true, "window" => 5}
    assert asked.(stream: ["x"], events: true) == %{"stream" => ["x"], "events" => true, "window" => 32}
    assert asked.(stream: false, fresh: true) == %{"fresh" => true}
    assert asked.(stream: []) == %{}
    assert %{"deadline_ms" => left} = asked.(timeout: 9_000)
    assert left in 8_000..9_000
  end

  test "nothing starts before the enumeration, and each is a demand of its own", %{
    session: session,
    name: name
  } do
    stream = Graphport.stream(session, "silent")
    assert Enum.take(stream, 0) == []
    assert {:ok, %{open_demands: 0}} = Graphport.info(name)
    stream = Graphport.stream(session, "count:2")
    assert stream |> Stream.concat(stream) |> Enum.to_list() == ["0", "1", "0", "1"]
  end

  test "wrong options and nodes raise before anything starts", %{session: session} do
    assert_raise ArgumentError, ~r/elements: :messages/, fn ->
      Graphport.stream(session, "a", events: true)
    end

    assert_raise ArgumentError, ~r/from 1 to 1000000/, fn -> Graphport.stream(session, "a", window: 0) end
    assert_raise ArgumentError, ~r/expected a node id, a list/, fn -> Graphport.stream(session, []) end
  end

  describe "the window" do
    test "holds for the mailbox, whatever the consumer does", %{session: session} do
      for window <- [1, 2, 3, 32] do
        stream = Graphport.stream(session, "count:100", window: window)

        taken =
          Enum.map(stream, fn chunk ->
            # A demand of its own in the loop gives the engine time to send what it may.
            {:ok, _outputs} = Graphport.demand(session, "echo")
            {:message_queue_len, waiting} = Process.info(self(), :message_queue_len)
            assert waiting <= window
            chunk
          end)

        assert taken == counted(0..99)
      end
    end

    test "is granted anew in batches of its half, as chunks are consumed", %{session: session} do
      # With the third grant all may be sent; whether the end is seen before a fourth is sent is chance.
      assert session |> Graphport.stream("count:20", window: 8) |> Enum.count() == 20
      assert {:ok, %{"ids" => grants}} = Graphport.demand(session, "grants:3")
      assert length(grants) in 3..5
      assert Enum.all?(grants, fn [_demand, n] -> n == 4 end)
      assert [_one] = grants |> Enum.map(&hd/1) |> Enum.uniq()
    end

    test "counts what the consumer never sees", %{session: session, name: name} do
      # Of 100 chunks the half is of a second port; if those were not granted, both sides would wait for ever.
      for window <- [1, 4] do
        chunks = session |> Graphport.stream("ports:100", window: window) |> Enum.to_list()
        assert chunks == Enum.map(0..98//2, &Integer.to_string/1)
      end

      nothing_left(name)
    end

    test "is no limit that a consumer holds against an engine that ignores it", %{
      session: session,
      name: name
    } do
      assert session |> Graphport.stream("flood:100", window: 2) |> Enum.to_list() ==
               Enum.map(0..99, &"a#{&1}")

      nothing_left(name)
    end

    test "is granted later if the engine reads nothing now", %{session: session, name: name} do
      os_pid = os_pid(name)
      {:ok, silent} = Graphport.demand_async(session, "silent")
      consumer = Task.async(fn -> receive_then_enumerate(session) end)
      assert_receive {:first, "0"}, 5_000

      # The engine's process is stopped, and every credit is spent, the reserve's too.
      {:ok, _demand} = Graphport.demand_async(session, "hang")

      eventually(fn ->
        spend_credit(session, silent) and match?(%{unread_frames: 512}, engine(name))
      end)

      send(consumer.pid, :go_on)
      assert_receive {:second, "1"}, 5_000
      # Now it has nothing more, and cannot say so.
      eventually(fn -> Process.info(consumer.pid, :message_queue_len) == {:message_queue_len, 0} end)
      assert Task.yield(consumer, 0) == nil
      {_output, 0} = System.cmd("kill", ["-CONT", Integer.to_string(os_pid)])
      assert Task.await(consumer, 10_000) == counted(2..49)
    end

    defp receive_then_enumerate(session) do
      test = hd(Process.get(:"$callers"))
      suspended = session |> Graphport.stream("count:50", window: 2) |> begin() |> step()
      send(test, {:first, element(suspended)})
      receive do: (:go_on -> :ok)
      suspended = step(suspended)
      send(test, {:second, element(suspended)})
      rest(step(suspended), [])
    end

    defp rest({:suspended, chunk, _continue} = suspended, chunks), do: rest(step(suspended), [chunk | chunks])
    defp rest({_done_or_halted, _acc}, chunks), do: Enum.reverse(chunks)

    # What the engine read before it stopped may give credit back a little later: then once more.
    defp spend_credit(session, silent) do
      flood(session)
      for _ <- 1..100, do: Graphport.cancel(silent)
      true
    end

    defp flood(session) do
      with {:ok, _demand} <- Graphport.demand_async(session, "echo", timeout: 50), do: flood(session)
    end
  end

  describe "an early end" do
    test "by taking enough cancels the demand", %{session: session, name: name} do
      assert session |> Graphport.stream("count:1000000", window: 4) |> Enum.take(3) == ["0", "1", "2"]
      nothing_left(name)
      assert {:ok, %{"ids" => [_id]}} = Graphport.demand(session, "cancels:1")
    end

    test "by an exception, a throw or an exit in the consumer does too", %{session: session, name: name} do
      stream = Graphport.stream(session, "count:1000000", window: 4)
      assert_raise RuntimeError, fn -> Enum.each(stream, fn "0" -> raise "enough" end) end
      assert catch_throw(Enum.each(stream, fn "0" -> throw(:enough) end)) == :enough
      assert catch_exit(Enum.each(stream, fn "0" -> exit(:enough) end)) == :enough
      nothing_left(name)
      assert {:ok, %{"ids" => [_, _, _]}} = Graphport.demand(session, "cancels:3")
    end

    test "by the end of the consumer's process does too", %{session: session, name: name} do
      test = self()

      {pid, monitor} =
        spawn_monitor(fn ->
          session
          |> Graphport.stream("count:1000000", window: 4)
          |> Enum.each(fn chunk ->
            send(test, chunk)
            receive do: (:never -> :ok)
          end)
        end)

      assert_receive "0", 5_000
      Process.exit(pid, :kill)
      assert_receive {:DOWN, ^monitor, :process, ^pid, :killed}, 5_000
      assert {:ok, %{"ids" => [_id]}} = Graphport.demand(session, "cancels:1")
      eventually(fn -> match?({:ok, %{open_demands: 0}}, Graphport.info(name)) end)
    end

    test "of ten thousand streams leaves no row, no message and no monitor", %{session: session, name: name} do
      for _ <- 1..10_000 do
        assert session |> Graphport.stream("count:1000000", window: 2) |> Enum.take(1) == ["0"]
      end

      {:ok, %{"ids" => cancelled}} = Graphport.demand(session, "cancels:10000")
      assert length(cancelled) == 10_000
      nothing_left(name)
      {:ok, instance} = Graphport.Instance.fetch(name)
      assert map_size(:sys.get_state(instance.janitor).monitors) <= 2
    end

    test "of what was not yet begun to be read leaves nothing", %{session: session, name: name} do
      suspended = session |> Graphport.stream("count:1000000") |> begin()
      assert {:suspended, nil, continue} = suspended
      assert {:halted, :enough} = continue.({:halt, :enough})
      nothing_left(name)
    end
  end

  describe "in one process" do
    test "streams stand within and beside one another", %{session: session, name: name} do
      left = Graphport.stream(session, "count:40", window: 3)
      right = Graphport.stream(session, "ports:1000000", window: 2)
      assert left |> Stream.zip(right) |> Enum.take(3) == [{"0", "0"}, {"1", "2"}, {"2", "4"}]
      assert left |> Stream.zip(right) |> Enum.count() == 40

      nested = for a <- left, b <- Graphport.stream(session, "count:3", window: 1), do: {a, b}
      assert length(nested) == 120
      nothing_left(name)
    end

    test "other messages are left alone", %{session: session} do
      stream = Graphport.stream(session, "count:10", window: 2)
      send(self(), {:node_stream, "count:10", "not mine"})
      for _chunk <- stream, do: send(self(), {make_ref(), :reply})
      assert [{:node_stream, "count:10", "not mine"} | replies] = mailbox()
      assert length(replies) == 10
    end

    test "and in no other one", %{session: session, name: name} do
      {:suspended, _element, continue} = session |> Graphport.stream("count:1000000") |> begin() |> step()

      task =
        Task.async(fn ->
          assert_raise(ArgumentError, ~r/the process that began it/, fn -> continue.({:cont, nil}) end)
        end)

      Task.await(task)
      assert {:halted, nil} = continue.({:halt, nil})
      nothing_left(name)
    end
  end

  describe "a failure raises" do
    test "the demand's error, after the chunks before it", %{session: session, name: name} do
      test = self()

      for elements <- [:chunks, :messages] do
        stream = Graphport.stream(session, "chunks_then:node_failed", elements: elements)
        error = assert_raise Error, fn -> Enum.each(stream, &send(test, {:chunk, &1})) end
        assert %Error{code: :node_failed, node_id: "chunks_then:node_failed"} = error
      end

      assert mailbox() == [chunk: "first", chunk: {:node_stream, "x", "first"}]
      nothing_left(name)
    end

    test "what keeps it from starting", %{session: session, name: name} do
      code = fn session, options ->
        assert_raise(Error, fn -> Enum.to_list(Graphport.stream(session, "echo", options)) end).code
      end

      assert code.(session, inputs: %{"a" => %{"v" => self()}}) == :unencodable_value
      Graphport.close(session)
      assert code.(session, []) == :unknown_session
      nothing_left(name)
      assert code.(%{session | instance: :"no such instance"}, []) == :unknown_instance
    end

    test "the deadline, and cancels the work", %{session: session, name: name} do
      stream = Graphport.stream(session, "deaf", timeout: 50)
      assert %Error{code: :deadline_exceeded} = assert_raise(Error, fn -> Enum.to_list(stream) end)
      nothing_left(name)
      assert {:ok, %{"ids" => [_id]}} = Graphport.demand(session, "cancels:1")
    end

    test "engine_down when the engine dies", %{session: session, name: name} do
      os_pid = os_pid(name)
      stream = Graphport.stream(session, "count:1000000", window: 4)
      kill = fn "0" -> OsProcess.kill(os_pid, OsProcess.start_time(os_pid)) end
      error = assert_raise Error, fn -> Enum.each(stream, &if(&1 == "0", do: kill.(&1))) end
      assert error.code == :engine_down
      nothing_left(name)
      assert session |> Graphport.stream("count:3") |> Enum.to_list() == ["0", "1", "2"]
    end

    test "shutting_down when the instance stops", %{session: session, name: name} do
      stream = Graphport.stream(session, "silent")
      consumer = Task.async(fn -> assert_raise(Error, fn -> Enum.to_list(stream) end).code end)
      eventually(fn -> match?({:ok, %{open_demands: 1}}, Graphport.info(name)) end)
      :ok = stop_supervised({Graphport, name})
      assert Task.await(consumer) == :shutting_down
    end
  end
end
