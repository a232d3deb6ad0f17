for transport <- [:port, :erlport] do
  defmodule Module.concat(Graphport.Faults.ReadSideTest, Macro.camelize("#{transport}")) do
    # Consumers that read slowly, or not at all, or die, of nodes that stream as fast as they can: memory stays bounded on
    # both sides, nothing is lost, and everybody else goes on.
    use Graphport.Case, async: true

    # The other door has the same code behind it.
    if transport == :erlport, do: @moduletag(:slow)
    @transport transport
    @repository Path.expand("../../..", __DIR__)
    @mebi 1_048_576

    alias Graphport.{Error, Instance}
    alias Graphport.Instance.Mailboxes

    setup %{name: name} do
      paths = for folder <- ["python", "tests/faults"], do: Path.join(@repository, folder)
      start_engine(name, transport: @transport, nodes: ["endless_nodes"], python_path: paths)
      :ok
    end

    # Each node beside one that says how many chunks it has made, and one that says how many of it are under way.
    defp open(name, nodes) do
      rows =
        for {id, {type, data}} <- nodes,
            row <- [{id, type, data}, {"far #{id}", "far", %{}}, {"alive #{id}", "alive", %{}}],
            {row_id, row_type, row_data} = row,
            do: %{id: row_id, type: row_type, data: Map.put(row_data, :name, id)}

      Graphport.open!(name, %{nodes: rows, edges: []})
    end

    defp ask(session, node) do
      {:ok, %{"value" => value}} = Graphport.demand(session, node)
      value
    end

    # Until the node makes nothing more.
    defp until_held(session, id, before \\ nil, same \\ 0)
    defp until_held(_session, _id, made, 5), do: made

    defp until_held(session, id, before, same) do
      made = ask(session, "far #{id}")
      until_held(session, id, made, if(made == before and made > 0, do: same + 1, else: 0))
    end

    defp memory(name) do
      [_size, resident | _rest] = String.split(File.read!("/proc/#{os_pid(name)}/statm"))
      String.to_integer(resident) * 4_096
    end

    defp queue(pid) do
      {:message_queue_len, length} = Process.info(pid, :message_queue_len)
      length
    end

    # A process that reads a stream an element at a time, whenever it is told to.
    defp reader(session, node, options) do
      test = self()

      spawn_monitor(fn ->
        result =
          try do
            for element <- Graphport.stream(session, node, options) do
              send(test, {:element, self(), element})
              receive do: (:next -> :ok)
            end

            :done
          rescue
            error in Error -> error.code
          end

        send(test, {:result, self(), result})
      end)
    end

    defp element(reader) do
      assert_receive {:element, ^reader, element}, 10_000
      element
    end

    defp next(reader) do
      send(reader, :next)
      element(reader)
    end

    describe "a consumer that takes a chunk now and then" do
      for {type, kind} <- [
            {"endless", "text"},
            {"endless", "bytes"},
            {"endless", "number"},
            {"endless-thread", "text"},
            {"endless-thread", "bytes"}
          ] do
        test "of #{type}, #{kind}: both mailboxes and Python stay small", %{name: name} do
          session = open(name, %{"n" => {unquote(type), %{kind: unquote(kind)}}})
          {reader, _monitor} = reader(session, "n", window: 8)
          chunks = [element(reader)]
          until_held(session, "n")
          warm = memory(name)

          chunks =
            Enum.reduce(1..40, chunks, fn _step, chunks ->
              chunk = next(reader)
              until_held(session, "n")
              assert queue(reader) <= 8
              assert queue(owner(name)) < 100
              [chunk | chunks]
            end)

          assert memory(name) - warm < 12 * @mebi
          assert in_order?(Enum.reverse(chunks), unquote(kind))
          Process.exit(reader, :kill)
          eventually(fn -> ask(session, "alive n") == 0 end)
          assert {:ok, %{open_demands: 0}} = Graphport.info(name)
        end
      end

      test "with events: of progress the latest is told, in the window", %{name: name} do
        session = open(name, %{"n" => {"endless-progress", %{}}})
        {reader, _monitor} = reader(session, "n", window: 8, events: true, elements: :messages)
        assert {:node_event, "", %{"event" => "planned"}} = element(reader)
        eventually(fn -> ask(session, "far n") > 50_000 end)
        # Two events that no window holds, and eight messages that it does.
        assert queue(reader) <= 10
        known = ask(session, "far n")

        told =
          for _step <- 1..30,
              {:node_event, "n", %{"text" => text}} <- [next(reader)],
              do: String.to_integer(text)

        assert told == Enum.sort(told)
        assert List.last(told) >= known
        assert queue(reader) <= 10
      end
    end

    defp in_order?(chunks, kind) do
      numbers =
        case kind do
          "text" ->
            chunks |> Enum.join() |> String.split(" ") |> Enum.drop(-1) |> Enum.map(&String.to_integer/1)

          "bytes" ->
            for <<number::64, _rest::binary>> <- chunks, do: number

          "number" ->
            chunks
        end

      numbers == Enum.to_list(0..(length(numbers) - 1)) and length(numbers) >= 40
    end

    test "a hundred consumers that take nothing leave room for everybody else", %{name: name} do
      session = open(name, Map.new(1..100, &{"n#{&1}", {"endless", %{kind: "bytes"}}}))
      before = memory(name)

      readers =
        for number <- 1..100 do
          {reader, _monitor} = reader(session, "n#{number}", window: 2)
          reader
        end

      Enum.each(readers, &element/1)
      until_held(session, "n1")
      until_held(session, "n100")
      assert memory(name) - before < 100 * @mebi
      assert Enum.all?(readers, &(queue(&1) <= 2))
      for reader <- readers, do: Process.exit(reader, :kill)
      eventually(fn -> Enum.all?([1, 50, 100], &(ask(session, "alive n#{&1}") == 0)) end)
      eventually(fn -> match?({:ok, %{open_demands: 0}}, Graphport.info(name)) end)
    end

    describe "a deadline" do
      test "reaches a node that a stalled consumer holds", %{name: name} do
        session = open(name, %{"n" => {"endless", %{}}})
        {reader, _monitor} = reader(session, "n", window: 2, timeout: 300)
        element(reader)
        eventually(fn -> ask(session, "alive n") == 0 end)
        assert result(reader) == :deadline_exceeded
      end

      test "reaches outputs that wait behind chunks which nobody takes", %{name: name} do
        session = open(name, %{"n" => {"counts-to", %{n: 100}}})
        {reader, _monitor} = reader(session, "n", window: 2, timeout: 300)
        element(reader)
        eventually(fn -> match?({:ok, %{open_demands: 0}}, Graphport.info(name)) end)
        assert result(reader) == :deadline_exceeded
        # Whoever comes in time gets all of it.
        assert session |> Graphport.stream("n", timeout: 60_000) |> Enum.to_list() == Enum.to_list(0..99)
      end
    end

    # What a reader ends with that reads on.
    defp result(reader) do
      send(reader, :next)

      receive do
        {:element, ^reader, _element} -> result(reader)
        {:result, ^reader, result} -> result
      after
        10_000 -> flunk("the reader did not end")
      end
    end

    describe "two demands of one node" do
      for how <- [:cancelled, :killed] do
        test "when the stalled one is #{how} the other goes on", %{name: name} do
          session = open(name, %{"n" => {"counts-to", %{n: 60_000, name: "n"}}})
          {stalled, _monitor} = reader(session, "n", window: 1)
          element(stalled)
          test = self()

          other =
            Task.async(fn ->
              stream = Graphport.stream(session, "n", window: 1_000)
              send(test, :begun)
              Enum.to_list(stream)
            end)

          assert_receive :begun, 5_000
          assert until_held(session, "n") < 60_000
          assert Task.yield(other, 0) == nil
          leave(unquote(how), stalled)
          assert Task.await(other, 30_000) == Enum.to_list(0..59_999)
        end
      end

      # An enumeration that is halted cancels its demand.
      defp leave(:killed, reader), do: Process.exit(reader, :kill)
      defp leave(:cancelled, reader), do: Process.exit(reader, :shutdown)
    end

    describe "a mailbox that nobody reads" do
      test "is filled no further, and nothing of the stream is lost", %{name: name} do
        session = open(name, %{"n" => {"endless", %{kind: "number"}}})
        {most, _few} = Mailboxes.limits()
        {:ok, demand} = Graphport.demand_async(session, "n", tag: true)
        eventually(fn -> queue(self()) > most end, 20_000)
        until_held(session, "n")
        full = queue(self())
        # What came between two looks comes on top: no more than the pipe's window and what waited to be sent.
        assert full < most + 400_000
        assert until_held(session, "n") == until_held(session, "n")
        assert queue(self()) == full

        # Who reads on gets on.
        wanted = full + 50_000
        for number <- 0..wanted, do: assert_receive({:graphport, _ref, {:node_stream, "n", ^number}}, 10_000)
        :ok = Graphport.cancel(demand)
        assert last(demand) == :cancelled
        eventually(fn -> ask(session, "alive n") == 0 end)
      end

      test "does not keep the answer of another process's demand", %{name: name} do
        session = open(name, %{"n" => {"endless", %{kind: "number"}}, "m" => {"counts-to", %{n: 1_000}}})
        {:ok, demand} = Graphport.demand_async(session, "n", tag: true)
        {most, _few} = Mailboxes.limits()
        eventually(fn -> queue(self()) > most end, 20_000)
        task = Task.async(fn -> session |> Graphport.stream("m") |> Enum.count() end)
        assert Task.await(task, 20_000) == 1_000
        assert {:ok, %{"value" => 1_000}} = Graphport.demand(session, "m")
        # A deadline, a cancel and the engine's end are told at once, whatever is kept.
        :ok = Graphport.cancel(demand)
        assert last(demand) == :cancelled
      end

      test "is waited for only so long", %{name: name} do
        session = open(name, %{"n" => {"endless", %{kind: "number"}}})
        {:ok, demand} = Graphport.demand_async(session, "n", tag: true)
        {most, _few} = Mailboxes.limits()
        eventually(fn -> queue(self()) > most end, 20_000)
        until_held(session, "n")
        {:ok, instance} = Instance.fetch(name)
        long_ago = fn entry -> %{entry | since: entry.since - 60_000} end

        # As if it had been shut for long. Again and again: what this process asks and reads meanwhile counts as reading.
        eventually(fn ->
          :sys.replace_state(instance.mailboxes, fn state ->
            %{state | shut: Map.new(state.shut, fn {pid, entry} -> {pid, long_ago.(entry)} end)}
          end)

          match?({:ok, %{open_demands: 0}}, Graphport.info(name))
        end)

        eventually(fn -> ask(session, "alive n") == 0 end)
        assert last(demand) == :overloaded
      end

      test "is opened again when the process that watches it was restarted", %{name: name} do
        session = open(name, %{"n" => {"endless", %{kind: "number"}}})
        {:ok, demand} = Graphport.demand_async(session, "n", tag: true)
        {most, _few} = Mailboxes.limits()
        eventually(fn -> queue(self()) > most end, 20_000)
        until_held(session, "n")
        {:ok, instance} = Instance.fetch(name)
        watcher = Process.whereis(instance.mailboxes)
        Process.exit(watcher, :kill)
        eventually(fn -> Process.whereis(instance.mailboxes) not in [nil, watcher] end)
        wanted = queue(self()) + 50_000
        for number <- 0..wanted, do: assert_receive({:graphport, _ref, {:node_stream, "n", ^number}}, 10_000)
        :ok = Graphport.cancel(demand)
        assert last(demand) == :cancelled
      end
    end

    # The code of a demand's last message, what was streamed before it read away.
    defp last(%{ref: ref} = demand) do
      receive do
        {:graphport, ^ref, {:node_stream, _node, _chunk}} -> last(demand)
        {:graphport, ^ref, {:demand_error, _node, error}} -> error.code
      after
        10_000 -> flunk("no last message")
      end
    end
  end
end
