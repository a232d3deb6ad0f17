defmodule Graphport.PartsTest do
  # Messages over 256 KiB, both ways, with the scripted peer: what passes between their parts, in which order they
  # arrive, and every way to break the rules.
  use Graphport.Case, async: true

  import ExUnit.CaptureLog

  alias Graphport.{Error, Instance}

  setup %{name: name} do
    start_peer(name)
    {:ok, session} = Graphport.open(name, %{})
    {:ok, instance} = Instance.fetch(name)
    os_pid = os_pid(name)
    {:ok, session: session, instance: instance, os_pid: os_pid}
  end

  defp engine_state(instance), do: instance.name |> owner() |> :sys.get_state()

  defp bytes(size), do: Graphport.bytes(:binary.copy(<<1, 2, 3, 4, 5, 6, 7, 8>>, div(size, 8)))
  defp digest(%Graphport.Bytes{data: data}), do: [byte_size(data), :erlang.crc32(data)]
  defp unread_bytes(name), do: engine(name).unread_bytes

  describe "a message to the engine" do
    test "arrives as it was, whatever its size", %{session: session} do
      for size <- [262_000, 262_144, 300_000, 524_288, 1_048_576, 5_000_000] do
        big = bytes(size)
        inputs = %{"n" => %{"a" => big, "b" => "text", "c" => big}}
        assert {:ok, %{"ports" => ports}} = Graphport.demand(session, "sizes", inputs: inputs)
        assert ports == %{"a" => digest(big), "b" => [4, :erlang.crc32("text")], "c" => digest(big)}
      end
    end

    test "carries what is left of its deadline when its last part is written", context do
      %{session: session, name: name, os_pid: os_pid} = context
      signal(os_pid, "STOP")

      task =
        Task.async(fn ->
          began = System.monotonic_time(:millisecond)
          options = [inputs: %{"n" => %{"a" => bytes(8_000_000)}}, timeout: 60_000]
          {Graphport.demand(session, "sizes", options), System.monotonic_time(:millisecond) - began}
        end)

      eventually(fn -> unread_bytes(name) > 1_500_000 end)
      # Time has to pass, so that the two readings of the clock differ.
      receive after: (30 -> :ok)
      signal(os_pid, "CONT")
      assert {{:ok, %{"deadline_ms" => left}}, took} = Task.await(task, 20_000)
      assert left in (60_000 - took)..59_970
    end

    test "may be a graph", %{name: name} do
      assert {:ok, session} = Graphport.open(name, %{"big" => String.duplicate("g", 3_000_000)})
      assert {:ok, %{"uploads" => 0}} = Graphport.demand(session, "sizes")
    end

    test "lets others pass between its parts", %{session: session, os_pid: os_pid, name: name} do
      {:ok, demand} = Graphport.demand_async(session, "silent")
      signal(os_pid, "STOP")
      big = bytes(30_000_000)
      task = Task.async(fn -> Graphport.demand(session, "sizes", inputs: %{"n" => %{"a" => big}}) end)
      eventually(fn -> unread_bytes(name) > 1_500_000 end)
      {:ok, _demand} = Graphport.demand_async(session, "sizes")
      :ok = Graphport.cancel(demand)
      signal(os_pid, "CONT")
      assert_receive {:demand_complete, "sizes", %{"uploads" => 1}}, 5_000
      assert_receive {:demand_error, "silent", %Error{code: :cancelled}}, 5_000
      assert {:ok, %{"ports" => %{"a" => digest}, "uploads" => 0}} = Task.await(task, 20_000)
      assert digest == digest(big)
    end

    test "that is over the limit is refused before a byte is written", %{session: session, name: name} do
      sixteen = bytes(16 * 1_048_576)
      inputs = %{"n" => %{"a" => List.duplicate(sixteen, 16)}}

      assert {:error, %Error{code: :too_large, message: text}} =
               Graphport.demand(session, "sizes", inputs: inputs)

      assert text =~ "268435456"

      assert {:error, %Error{code: :too_large}} =
               Graphport.open(name, %{"big" => List.duplicate(sixteen, 16)})

      assert unread_bytes(name) < 1_000
      assert {:ok, %{"uploads" => 0}} = Graphport.demand(session, "sizes")
      assert {:ok, %{open_demands: 0}} = Graphport.info(name)
    end

    test "that finds no credit in time is overloaded, and forgotten by the engine", context do
      %{session: session, name: name, os_pid: os_pid} = context
      signal(os_pid, "STOP")
      options = [inputs: %{"n" => %{"a" => bytes(8_000_000)}}, timeout: 300]
      assert {:error, %Error{code: :overloaded}} = Graphport.demand_async(session, "sizes", options)
      assert {:ok, %{open_demands: 0}} = Graphport.info(name)
      signal(os_pid, "CONT")
      assert {:ok, %{"ids" => [_id]}} = Graphport.demand(session, "cancels:1")
      assert {:ok, %{"uploads" => 0}} = Graphport.demand(session, "sizes")
      assert mailbox() == []
    end

    test "whose caller is killed is forgotten by the engine", context do
      %{session: session, name: name, os_pid: os_pid} = context
      signal(os_pid, "STOP")
      inputs = %{"n" => %{"a" => bytes(8_000_000)}}
      caller = spawn(fn -> Graphport.demand(session, "sizes", inputs: inputs) end)
      eventually(fn -> unread_bytes(name) > 1_500_000 end)
      Process.exit(caller, :kill)
      eventually(fn -> match?({:ok, %{open_demands: 0}}, Graphport.info(name)) end)
      signal(os_pid, "CONT")
      assert {:ok, %{"ids" => [_id]}} = Graphport.demand(session, "cancels:1")
      assert {:ok, %{"uploads" => 0}} = Graphport.demand(session, "sizes")
    end

    test "is cancelled by another process: it ends early, as cancelled", context do
      %{session: session, name: name, os_pid: os_pid, instance: instance} = context
      signal(os_pid, "STOP")
      options = [inputs: %{"n" => %{"a" => bytes(200_000_000)}}, timeout: 60_000]
      task = Task.async(fn -> Graphport.demand(session, "sizes", options) end)
      eventually(fn -> unread_bytes(name) > 1_500_000 end)
      [row] = :ets.tab2list(instance.demands)
      :ok = Graphport.cancel(%Graphport.Demand{ref: elem(row, 0), node: "sizes", session: session})
      signal(os_pid, "CONT")
      assert {:error, %Error{code: :cancelled}} = Task.await(task)
      assert {:ok, %{"uploads" => 0}} = Graphport.demand(session, "sizes")
      assert {:ok, %{open_demands: 0, engines: [%{os_pid: ^os_pid}]}} = Graphport.info(name)
    end

    test "whose receiver dies is not written to its end", context do
      %{session: session, name: name, os_pid: os_pid} = context
      receiver = spawn(fn -> receive do: (:end -> :ok) end)
      signal(os_pid, "STOP")
      options = [inputs: %{"n" => %{"a" => bytes(8_000_000)}}, to: receiver, timeout: 60_000]
      task = Task.async(fn -> Graphport.demand_async(session, "sizes", options) end)
      eventually(fn -> unread_bytes(name) > 1_500_000 end)
      Process.exit(receiver, :kill)
      # The engine reads nothing: only that nobody wants the answer can end it.
      assert {:ok, demand} = Task.await(task)
      signal(os_pid, "CONT")
      assert {:ok, %{"ids" => [id]}} = Graphport.demand(session, "cancels:1")
      assert id == demand.ref
      assert {:ok, %{"uploads" => 0}} = Graphport.demand(session, "sizes")
    end

    test "a graph whose session is killed is forgotten by the engine", context do
      %{session: session, name: name, os_pid: os_pid, instance: instance} = context
      signal(os_pid, "STOP")
      graph = %{"big" => String.duplicate("g", 8_000_000)}
      task = Task.async(fn -> Graphport.open(name, graph, owner: :none) end)
      eventually(fn -> unread_bytes(name) > 1_500_000 end)

      for {_id, pid, _type, _modules} <- DynamicSupervisor.which_children(instance.sessions),
          pid != session.pid,
          do: Process.exit(pid, :kill)

      assert {:error, %Error{code: :unknown_session}} = Task.await(task)
      eventually(fn -> match?({:ok, %{open_demands: 0}}, Graphport.info(name)) end)
      signal(os_pid, "CONT")
      assert {:ok, %{"ids" => [_id]}} = Graphport.demand(session, "cancels:1")
      assert {:ok, %{"uploads" => 0}} = Graphport.demand(session, "sizes")
    end

    test "whose engine dies meanwhile is answered once", %{session: session, name: name, os_pid: os_pid} do
      signal(os_pid, "STOP")
      options = [inputs: %{"n" => %{"a" => bytes(8_000_000)}}]

      task =
        Task.async(fn ->
          {Graphport.demand_async(session, "sizes", options), receive(do: (m -> m)), mailbox()}
        end)

      eventually(fn -> unread_bytes(name) > 1_500_000 end)
      signal(os_pid, "KILL")
      assert {{:ok, _demand}, last, []} = Task.await(task, 20_000)

      # Whoever notices first: the caller, who then starts again on the next engine, or the owner.
      assert match?({:demand_complete, "sizes", %{"uploads" => 0}}, last) or
               match?({:demand_error, "sizes", %Error{code: :engine_down}}, last)

      assert {:ok, %{"uploads" => 0}} = Graphport.demand(session, "sizes")
    end
  end

  describe "a message from the engine" do
    test "arrives as it was", %{session: session, instance: instance} do
      for size <- [1, 262_144, 300_000, 1_048_576, 5_000_000] do
        assert {:ok, %{"data" => data}} = Graphport.demand(session, "parts:whole:#{size}")
        assert data == String.duplicate("x", size)
      end

      assert %{transfers: transfers} = engine_state(instance)
      assert transfers == %{}
    end

    test "lets others pass between its parts", %{session: session} do
      {:ok, silent} = Graphport.demand_async(session, "silent")
      {:ok, _demand} = Graphport.demand_async(session, "parts:paused")
      :ok = Graphport.cancel(silent)
      assert_receive {:demand_error, "silent", %Error{code: :cancelled}}, 5_000
      {:ok, _demand} = Graphport.demand_async(session, "stream")
      assert_receive {:demand_complete, "stream", %{}}, 5_000
      assert [{:node_stream, "x", "xa0"} | _] = mailbox()
      assert {:ok, %{}} = Graphport.demand(session, "resume")
      assert_receive {:demand_complete, "parts:paused", %{"data" => data}}, 5_000
      assert byte_size(data) == 600_000
    end

    test "keeps its place among the others of its demand", %{session: session} do
      {:ok, _demand} = Graphport.demand_async(session, "parts:order:big", stream: :all)
      assert_receive {:demand_complete, "parts:order:big", %{"data" => <<_::binary-size(600_000)>>}}, 10_000

      assert for(
               {:node_stream, _node, {port, chunk}} <- mailbox(),
               do: {port, binary_part(chunk, 0, min(7, byte_size(chunk)))}
             ) ==
               for(
                 n <- 0..2,
                 item <- [{"p", String.duplicate("#{n}", 7)}, {"p", "small #{n}"}, {"q", "small #{n}"}],
                 do: item
               )
    end

    test "keeps its place also when nothing else is large", %{session: session} do
      {:ok, _demand} = Graphport.demand_async(session, "parts:order")
      assert_receive {:demand_complete, "parts:order", outputs}, 10_000
      assert outputs == %{}
      # The first streaming port of the node, which the first large chunk settled.
      assert [3_000_000, 7, 3_000_000, 7, 3_000_000, 7] ==
               for({:node_stream, "parts:order", chunk} <- mailbox(), do: byte_size(chunk))
    end

    test "that the engine gives up is dropped", %{session: session, instance: instance} do
      {:ok, _demand} = Graphport.demand_async(session, "parts:abandoned")
      assert_receive {:demand_error, "parts:abandoned", %Error{code: :cancelled}}, 5_000
      send(owner(instance.name), :tick)
      assert engine_state(instance).transfers == %{}
    end

    test "of a demand that is over is dropped", %{session: session, instance: instance, os_pid: os_pid} do
      caller = spawn(fn -> Graphport.demand(session, "parts:paused") end)
      eventually(fn -> map_size(engine_state(instance).transfers) == 1 end)
      [%{parts: {process, 1, 262_144}}] = Map.values(engine_state(instance).transfers)
      monitor = Process.monitor(process)
      Process.exit(caller, :kill)
      assert {:ok, %{"ids" => [_id]}} = Graphport.demand(session, "cancels:1")
      assert {:ok, %{}} = Graphport.demand(session, "resume")
      assert_receive {:DOWN, ^monitor, :process, ^process, :killed}, 5_000
      assert engine_state(instance).transfers == %{}
      assert os_pid(session.instance) == os_pid
    end

    test "may be a log line", %{session: session} do
      assert capture_log(fn ->
               assert {:ok, %{}} = Graphport.demand(session, "parts:log")
               :sys.get_state(:"#{inspect(session.instance)}.log_relay")
             end) =~ String.duplicate("l", 1_000)
    end

    test "is lost with its engine: one engine_down", %{session: session} do
      {:ok, _demand} = Graphport.demand_async(session, "parts:paused")
      {:ok, _demand} = Graphport.demand_async(session, "die")
      assert_receive {:demand_error, "die", %Error{code: :engine_down}}, 5_000
      assert_receive {:demand_error, "parts:paused", %Error{code: :engine_down}}, 5_000
      assert {:ok, %{}} = Graphport.demand(session, "echo")
      assert mailbox() == []
    end

    test "that was there when the engine died is answered once", %{session: session} do
      for _ <- 1..3 do
        {:ok, _demand} = Graphport.demand_async(session, "silent")
        {:ok, _demand} = Graphport.demand_async(session, "parts:whole_then_dies")
        assert_receive {:demand_error, "silent", %Error{code: :engine_down}}, 5_000
        assert_receive last when elem(last, 1) == "parts:whole_then_dies", 5_000

        assert match?({:demand_complete, "parts:whole_then_dies", %{"data" => _}}, last) or
                 match?({:demand_error, "parts:whole_then_dies", %Error{code: :engine_down}}, last)

        assert {:ok, %{}} = Graphport.demand(session, "echo")
        assert mailbox() == []
      end
    end

    test "whose process is killed is an error, and the work is cancelled", context do
      %{session: session, instance: instance, os_pid: os_pid} = context
      {:ok, demand} = Graphport.demand_async(session, "parts:paused")
      eventually(fn -> map_size(engine_state(instance).transfers) == 1 end)
      [%{parts: {process, 1, 262_144}}] = Map.values(engine_state(instance).transfers)
      Process.exit(process, :kill)
      assert_receive {:demand_error, "parts:paused", %Error{code: :internal_error}}, 5_000
      assert {:ok, %{"ids" => [id]}} = Graphport.demand(session, "cancels:1")
      assert id == demand.ref
      assert {:ok, %{}} = Graphport.demand(session, "resume")
      assert engine_state(instance).transfers == %{}
      assert os_pid(session.instance) == os_pid
      assert mailbox() == []
    end

    test "goes with an owner that is killed", %{session: session, instance: instance} do
      {:ok, _demand} = Graphport.demand_async(session, "parts:paused")
      eventually(fn -> map_size(engine_state(instance).transfers) == 1 end)
      [%{parts: {process, 1, 262_144}}] = Map.values(engine_state(instance).transfers)
      monitor = Process.monitor(process)
      Process.exit(owner(instance.name), :kill)
      assert_receive {:DOWN, ^monitor, :process, ^process, :normal}, 5_000
      assert_receive {:demand_error, "parts:paused", %Error{code: :engine_down}}, 5_000
    end

    test "is dropped when the instance stops", %{session: session, name: name} do
      {:ok, _demand} = Graphport.demand_async(session, "parts:paused")
      {:ok, %{}} = Graphport.demand(session, "echo")
      :ok = stop_supervised({Graphport, name})
      assert_receive {:demand_error, "parts:paused", %Error{code: :shutting_down}}
      assert mailbox() == []
    end
  end

  describe "an engine that breaks the rules of parts is killed:" do
    for {kind, text} <- [
          skipped_part: "part 2 of",
          repeated_part: "part 0 of",
          no_first_part: "without a first part",
          long_part: "part with a wrong number",
          forbidden: "pong in parts",
          nested: "part in parts",
          batch: "expected a message",
          other_demand: "in the parts of",
          malformed: "demand_complete with a wrong number",
          garbage: "cut short",
          faults_first: "cut short"
        ] do
      test "#{kind}", %{session: session, os_pid: os_pid} do
        {:ok, _demand} = Graphport.demand_async(session, "silent")
        {:ok, _demand} = Graphport.demand_async(session, "parts:#{unquote(kind)}")
        node = "parts:#{unquote(kind)}"
        assert_receive {:demand_error, ^node, %Error{code: :engine_down, message: message}}, 5_000
        assert message =~ "breaks the protocol"
        assert message =~ unquote(text)
        assert_receive {:demand_error, "silent", %Error{code: :engine_down}}, 5_000
        assert {:ok, %{}} = Graphport.demand(session, "echo")
        eventually(fn -> not os_alive?(os_pid) end)
        assert mailbox() == []
      end
    end

    test "too many at once", %{session: session} do
      for _ <- 1..1_024, do: {:ok, _demand} = Graphport.demand_async(session, "silent", timeout: 20_000)
      assert {:ok, _demand} = Graphport.demand_async(session, "parts:too_many")
      {:ok, _outputs} = Graphport.demand(session, "echo")
      {:ok, _demand} = Graphport.demand_async(session, "parts:paused")
      assert_receive {:demand_error, "parts:paused", %Error{code: :engine_down, message: text}}, 5_000
      assert text =~ "more than 1024 messages in parts at once"
      for _ <- 1..1_024, do: assert_receive({:demand_error, "silent", %Error{code: :engine_down}}, 5_000)
    end

    @tag :slow
    test "too large", %{session: session} do
      {:ok, _demand} = Graphport.demand_async(session, "parts:too_large")
      assert_receive {:demand_error, "parts:too_large", %Error{code: :engine_down, message: text}}, 30_000
      assert text =~ "more than 268435456 bytes"
    end
  end
end
