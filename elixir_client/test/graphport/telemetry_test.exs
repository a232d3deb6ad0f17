defmodule Graphport.TelemetryTest do
  use Graphport.Case, async: true
  doctest Graphport.Telemetry

  alias Graphport.{Error, Instance, LogHandler, Telemetry}
  alias Graphport.Instance.{Demands, Spans}

  # Sends the test the events of its own instance: `{event, measurements, metadata, pid}`.
  def handle(event, measurements, %{instance: name} = metadata, {name, test}) do
    send(test, {event, measurements, metadata, self()})
  end

  def handle(_event, _measurements, _metadata, _other_test), do: :ok

  setup %{name: name} do
    :ok = :telemetry.attach_many(name, Telemetry.events(), &__MODULE__.handle/4, {name, self()})
    on_exit(fn -> :telemetry.detach(name) end)
  end

  defp start(name, options \\ []) do
    start_peer(name, Keyword.merge([telemetry_interval: 3_600_000], options))
    Graphport.open!(name, %{})
  end

  # The end of the demand that was begun last, and that it was the only one.
  defp demand_ended do
    assert_receive {[:graphport, :demand, :start], started, %{demand: id} = begun, _pid}, 5_000
    assert_receive {[:graphport, :demand, kind], ended, %{demand: ^id} = metadata, _pid}, 5_000
    assert kind in [:stop, :exception]
    assert metadata.telemetry_span_context == begun.telemetry_span_context
    assert ended.duration == ended.monotonic_time - started.monotonic_time
    assert ended.duration >= 0
    refute_received {[:graphport, :demand, _kind], _measurements, %{demand: ^id}, _pid}
    {kind, metadata}
  end

  describe "a demand" do
    test "is a span, from its caller's process to one of its own", %{name: name} do
      session = start(name)
      {:ok, demand} = Graphport.demand_async(session, "echo")
      test = self()
      assert_receive {[:graphport, :demand, :start], _measurements, metadata, ^test}, 5_000
      assert %{instance: ^name, node: "echo", demand: id} = metadata
      assert id == demand.ref
      assert metadata.session == session.id
      assert_receive {[:graphport, :demand, :stop], _measurements, %{demand: ^id, engine: 0}, pid}, 5_000
      refute pid in [test, owner(name), Process.whereis(Instance.process_name(name, :reporter))]
    end

    test "of demand/3, stream/3 or several nodes is one span", %{name: name} do
      session = start(name)
      Graphport.demand!(session, "echo")
      assert {:stop, %{node: "echo"}} = demand_ended()
      Graphport.demand!(session, ["one", "two"])
      assert {:stop, %{node: ["one", "two"]}} = demand_ended()
      session |> Graphport.stream("count:50", window: 4) |> Stream.run()
      assert {:stop, %{node: "count:50"}} = demand_ended()
    end

    test "that fails is an exception with the error and its code", %{name: name} do
      session = start(name)
      {:error, error} = Graphport.demand(session, "error:node_failed")

      assert {:exception, %{kind: :error, reason: ^error, code: :node_failed, stacktrace: []}} =
               demand_ended()

      {:error, _error} = Graphport.demand(session, "die")
      assert {:exception, %{code: :engine_down, engine: 0}} = demand_ended()
    end

    test "ends once whoever gives it up", %{name: name} do
      session = start(name)
      {:error, _error} = Graphport.demand(session, "deaf", timeout: 1)
      assert {:exception, %{code: :deadline_exceeded}} = demand_ended()

      {:ok, demand} = Graphport.demand_async(session, "silent")
      Graphport.cancel(demand)
      assert {:exception, %{code: :cancelled}} = demand_ended()

      session |> Graphport.stream("count:1000") |> Enum.take(1)
      assert {:exception, %{code: :cancelled}} = demand_ended()

      spawn(fn -> Graphport.demand_async(session, "silent") end)
      assert {:exception, %{code: :cancelled}} = demand_ended()
    end

    test "that never reached an engine ends too", %{name: name} do
      session = start(name)
      :ok = Graphport.close(session)
      {:error, _error} = Graphport.demand(session, "echo")
      assert {:exception, %{code: :unknown_session, engine: nil}} = demand_ended()

      session = Graphport.open!(name, %{})
      {:error, _error} = Graphport.demand(session, "echo", inputs: %{"n" => %{"p" => self()}})
      assert {:exception, %{code: :unencodable_value, engine: nil}} = demand_ended()
    end

    test "ends when the instance stops, before its stop returns", %{name: name} do
      session = start(name)
      {:ok, _demand} = Graphport.demand_async(session, "silent")
      stop_supervised!({Graphport, name})
      assert_received {[:graphport, :demand, :exception], _measurements, %{code: :shutting_down}, _pid}
      assert_received {[:graphport, :engine, :stop], _measurements, %{engine: 0}, _pid}
    end

    test "ends when the tables, or the engine's owner, are killed", %{name: name} do
      session = start(name)
      {:ok, _demand} = Graphport.demand_async(session, "silent")
      Process.exit(owner(name), :kill)
      assert {:exception, %{code: :engine_down}} = demand_ended()
      eventually(fn -> match?({:ok, _}, Graphport.demand(session, "echo")) end)
      flush_demands()

      {:ok, instance} = Instance.fetch(name)
      {:ok, _demand} = Graphport.demand_async(session, "silent")
      Process.exit(instance.table, :kill)
      assert {:exception, %{code: :engine_down}} = demand_ended()
    end

    test "that nobody can report is found by the sweep", %{name: name} do
      session = start(name)
      {:ok, instance} = Instance.fetch(name)
      {:ok, %{ref: id}} = Graphport.demand_async(session, "silent")
      # As if whoever took the row were killed then.
      {:ok, _row} = Demands.take(instance, id)

      spawn(fn ->
        # As if it were killed before it had a row.
        Spans.begin_demand(instance, session, "early", -1)
      end)

      assert_receive {[:graphport, :demand, :start], _, %{node: "early"}, pid}, 5_000
      eventually(fn -> not Process.alive?(pid) end)
      reporter = Process.whereis(instance.telemetry.reporter)
      send(reporter, :sweep)
      _ = :sys.get_state(reporter)
      refute_received {[:graphport, :demand, :exception], _, _, _}
      send(reporter, :sweep)
      assert_receive {[:graphport, :demand, :exception], _, %{demand: -1, code: :cancelled}, _}, 5_000
      assert_receive {[:graphport, :demand, :exception], _, %{demand: ^id, code: :cancelled}, _}, 5_000
      assert :ets.info(instance.telemetry.spans, :size) == 1
    end

    test "ends also while the reporter is started anew", %{name: name} do
      session = start(name)
      {:ok, instance} = Instance.fetch(name)
      {:ok, demand} = Graphport.demand_async(session, "silent")
      assert_receive {[:graphport, :demand, :start], _, _, _}, 5_000
      reporter = Process.whereis(instance.telemetry.reporter)
      Process.exit(reporter, :kill)
      eventually(fn -> Process.whereis(instance.telemetry.reporter) not in [nil, reporter] end)
      Graphport.cancel(demand)
      assert_receive {[:graphport, :demand, :exception], _, %{code: :cancelled}, _}, 5_000
      Process.exit(owner(name), :kill)
      assert_receive {[:graphport, :engine, :exception], _, %{reason: %Error{message: message}}, _}, 5_000
      assert message =~ "the owner of the engine ended: killed"
    end
  end

  defp flush_demands do
    receive do
      {[:graphport, :demand, _kind], _measurements, _metadata, _pid} -> flush_demands()
    after
      100 -> :ok
    end
  end

  describe "an engine" do
    test "is a span, with when it was ready", %{name: name} do
      start(name)
      assert_receive {[:graphport, :engine, :start], _, %{engine: 0, os_pid: os_pid}, _}, 5_000
      assert os_pid == os_pid(name)

      assert_receive {[:graphport, :engine, :ready], %{duration: duration}, %{engine: 0, os_pid: ^os_pid}, _},
                     5_000

      assert duration > 0
      refute_received {[:graphport, :engine, :stop], _, _, _}
    end

    test "that dies is an exception, and starts again", %{name: name} do
      start(name)
      os_pid = os_pid(name)
      signal(os_pid, "KILL")

      assert_receive {[:graphport, :engine, :exception], %{backoff_ms: backoff_ms}, metadata, _}, 5_000
      assert backoff_ms > 0

      assert %{os_pid: ^os_pid, code: :engine_down, reason: %Error{message: "the engine ended: " <> _}} =
               metadata

      assert_receive {[:graphport, :engine, :start], _, %{os_pid: ^os_pid}, _}, 5_000
      assert_receive {[:graphport, :engine, :start], _, %{os_pid: new}, _}, 5_000
      assert new != os_pid
    end

    test "that never comes up is an exception", %{name: name} do
      Process.flag(:trap_exit, true)
      {:error, %Error{code: :engine_down}} = Graphport.start_link(peer_options(name, nodes: ["exits"]))
      assert_receive {[:graphport, :engine, :exception], _, %{reason: %Error{message: message}}, _}, 5_000
      assert message =~ "no such luck"
      refute_received {[:graphport, :engine, :ready], _, _, _}
    end

    test "and its instance have gauges", %{name: name} do
      session = start(name, telemetry_interval: 10, engines: 2)
      {:ok, _demand} = Graphport.demand_async(session, "silent")

      receive_until(fn
        {[:graphport, :engine, :state], %{open_demands: 1} = measurements, metadata, _pid} ->
          assert %{sessions: 1, restarts: 0, message_queue_len: _, credit_bytes: left} = measurements
          assert left in 1..(2 * 1024 * 1024)
          assert measurements.memory_bytes > 1_000_000
          assert measurements.sent_bytes > 0 and measurements.received_bytes > 0
          assert %{status: :up, os_pid: os_pid} = metadata
          assert is_integer(os_pid)

        _other ->
          nil
      end)

      receive_until(fn
        {[:graphport, :instance, :state], %{open_demands: 1, open_sessions: 1, dropped_spans: 0}, _, _} ->
          true

        _other ->
          nil
      end)

      receive_until(fn
        {[:graphport, :engine, :state], %{open_demands: 0, sessions: 0}, %{engine: _}, _} -> true
        _other -> nil
      end)
    end
  end

  # Gauges come for ever, so the number of those looked at is what ends it.
  defp receive_until(match, left \\ 2_000)
  defp receive_until(_match, 0), do: flunk("no such event came")

  defp receive_until(match, left) do
    receive do
      message -> match.(message) || receive_until(match, left - 1)
    after
      5_000 -> flunk("no such event came")
    end
  end

  describe "nodes" do
    test "are reported if asked for, and the caller is sent no more than it wants", %{name: name} do
      session = start(name, telemetry: :nodes)
      {:ok, _demand} = Graphport.demand_async(session, "events")
      assert_receive {:demand_complete, "events", %{}}, 5_000
      assert_receive {[:graphport, :node, :start], %{system_time: _}, %{node: "x"} = begun, _}, 5_000
      # It was begun and never ended.
      assert_receive {[:graphport, :node, :exception], _, %{node: "x", code: :cancelled} = ended, _}, 5_000
      assert begun.telemetry_span_context == ended.telemetry_span_context
      refute_received {:node_event, _, _}
      refute_received {[:graphport, :node, _], _, _, _}

      {:ok, _demand} = Graphport.demand_async(session, "events", events: true)
      assert_receive {:node_event, "x", %{"event" => "started"}}, 5_000
    end

    test "are not reported unless asked for", %{name: name} do
      session = start(name)
      assert %{"options" => %{} = options} = Graphport.demand!(session, "echo")
      refute is_map_key(options, "events")
      {:ok, _demand} = Graphport.demand_async(session, "events", events: true)
      assert_receive {[:graphport, :demand, :stop], _, %{node: "events"}, _}, 5_000
      refute_received {[:graphport, :node, _], _, _, _}
    end
  end

  describe "handlers" do
    test "that fail or hang harm nothing", %{name: name} do
      LogHandler.attach(name)
      test = self()

      :telemetry.attach(
        {name, :killed},
        [:graphport, :demand, :stop],
        fn _, _, metadata, _ ->
          if metadata.instance == name, do: Process.exit(self(), :kill)
        end,
        nil
      )

      on_exit(fn -> :telemetry.detach({name, :killed}) end)
      session = start(name)
      Graphport.demand!(session, "echo")
      assert_receive {:log, :error, "a telemetry handler did not return: :killed", _}, 5_000
      :telemetry.detach({name, :killed})

      :telemetry.attach(
        {name, :raises},
        [:graphport, :demand, :stop],
        fn _, _, metadata, _ ->
          if metadata.instance == name, do: raise("no")
        end,
        nil
      )

      on_exit(fn -> :telemetry.detach({name, :raises}) end)
      Graphport.demand!(session, "echo")
      eventually(fn -> not Enum.any?(:telemetry.list_handlers([:graphport]), &(&1.id == {name, :raises})) end)

      :telemetry.attach(
        {name, :slow},
        [:graphport, :demand, :stop],
        fn _, _, metadata, _ ->
          if metadata.instance == name do
            send(test, {:handling, self()})
            receive do: (:go_on -> :ok)
          end
        end,
        nil
      )

      on_exit(fn -> :telemetry.detach({name, :slow}) end)
      Graphport.demand!(session, "echo")
      assert_receive {:handling, pid}, 5_000
      assert {:ok, _} = Graphport.demand(session, "echo")
      send(pid, :go_on)
      assert_receive {:handling, pid}, 5_000
      send(pid, :go_on)
    end

    test "that are too slow have spans dropped whole, and counted", %{name: name} do
      session = start(name)
      {:ok, instance} = Instance.fetch(name)
      # As if so many events waited.
      Spans.waiting(instance.telemetry, 10_000)
      {:ok, _outputs} = Graphport.demand(session, "echo")
      assert Spans.counts(instance.telemetry) == {10_000, 1}
      Spans.waiting(instance.telemetry, 0)
      {:ok, _outputs} = Graphport.demand(session, "who")
      assert {:stop, %{node: "who"}} = demand_ended()
      refute_received {[:graphport, :demand, _], _, %{node: "echo"}, _}
    end
  end

  describe "telemetry: false" do
    test "emits nothing and starts nothing", %{name: name} do
      session = start(name, telemetry: false)
      Graphport.demand!(session, "echo")
      assert Process.whereis(Instance.process_name(name, :reporter)) == nil
      stop_supervised!({Graphport, name})
      refute_received {[:graphport | _], _, _, _}
    end
  end

  describe "the documentation" do
    test "has every event, measurement and metadata key that is emitted, and no other", %{name: name} do
      session = start(name, telemetry: :nodes, telemetry_interval: 10)
      events = [["x", "started"], ["x", "completed"], ["y", "cached"], ["z", "started"], ["z", "failed"]]
      {:ok, %{ref: id}} = Graphport.demand_async(session, "silent")
      reporter = Instance.process_name(name, :reporter)

      for [node, kind] <- events do
        event = %{"event" => kind, "us" => 5, "code" => "node_failed"}
        Spans.node_event(reporter, id, node, event)
      end

      Graphport.demand!(session, "echo")
      {:error, _error} = Graphport.demand(session, "die")
      {:ok, _session} = Graphport.open(name, %{})
      eventually(fn -> Enum.count(seen(), &match?({[:graphport, :engine, :ready], _, _}, &1)) > 1 end)
      stop_supervised!({Graphport, name})
      seen = Enum.uniq(seen())
      assert seen |> Enum.map(&elem(&1, 0)) |> Enum.uniq() |> Enum.sort() == Enum.sort(Telemetry.events())

      documented =
        for {event, measurements, metadata} <- Telemetry.documented(),
            do: {event, Enum.sort(measurements), Enum.sort(metadata)}

      assert Enum.sort(seen) == Enum.sort(documented)
      {measurements, metadata} = Telemetry.explained()

      assert Enum.sort(measurements) ==
               documented |> Enum.flat_map(&elem(&1, 1)) |> Enum.uniq() |> Enum.sort()

      assert Enum.sort(metadata) == documented |> Enum.flat_map(&elem(&1, 2)) |> Enum.uniq() |> Enum.sort()
      {:docs_v1, _, _, _, %{"en" => text}, _, _} = Code.fetch_docs(Telemetry)
      for {event, _, _} <- documented, do: assert(text =~ "`#{inspect(event)}`")
    end

    # What has come so far, kept over calls: `{event, measurements, metadata}` as sorted keys.
    defp seen do
      new =
        for {[:graphport | _] = event, measurements, metadata, _pid} <- mailbox(),
            do: {event, measurements |> Map.keys() |> Enum.sort(), metadata |> Map.keys() |> Enum.sort()}

      all = Process.get(:seen, []) ++ new
      Process.put(:seen, all)
      all
    end
  end
end
