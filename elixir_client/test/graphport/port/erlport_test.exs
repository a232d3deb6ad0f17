defmodule Graphport.Port.ErlportTest do
  # The second door: ErlPort's terms, the functions of `graphport.erlport` as an app calls them, and what the transport
  # does when a side ends. That demands, streams and errors are the same over both doors is in `test/integration`.
  use Graphport.Case, async: true

  import ExUnit.CaptureIO

  alias Graphport.Error
  alias Graphport.Port.{Credit, Erlport, OsProcess, Writer}
  alias Graphport.Wire.{Decoder, Encoder}

  @terms :graphport_test_terms
  @door :"graphport.erlport"

  defp start_python(options \\ []) do
    paths =
      for path <- ["../../../../python", "../../support/nodes"], do: to_charlist(Path.expand(path, __DIR__))

    {:ok, python} = :python.start_link([python: to_charlist(python()), python_path: paths] ++ options)
    on_exit(fn -> Process.exit(python, :kill) end)
    python
  end

  defp pack(term) do
    {:ok, packed} = Encoder.encode(term)
    IO.iodata_to_binary(packed)
  end

  defp unpack(packed) do
    {:ok, term} = Decoder.decode(packed)
    term
  end

  describe "ErlPort's terms" do
    setup do
      {:ok, python: start_python()}
    end

    test "go to Python and come back the same", %{python: python} do
      for term <- [
            :ok,
            :"Capital and space",
            true,
            false,
            :undefined,
            nil,
            "text",
            <<0, 255>>,
            "",
            0,
            255,
            -1,
            Integer.pow(2, 31),
            -Integer.pow(2, 100),
            Integer.pow(2, 3_000),
            1.5,
            -0.25,
            {},
            {:a, "b", {1}},
            [],
            [1, 2, 3],
            'charlist',
            [1_000, 2],
            ["a", [:b]],
            [:improper | "tail"],
            self(),
            make_ref(),
            {:nested, [self(), {make_ref()}]},
            <<1::3>>,
            &String.upcase/1
          ] do
        assert :python.call(python, @terms, :echo, [term]) === term
      end
    end

    test "have these types in Python", %{python: python} do
      for {term, kind} <- [
            {:ok, "Atom"},
            {nil, "Atom"},
            {true, "bool"},
            {:undefined, "NoneType"},
            {"text", "bytes"},
            {Integer.pow(2, 100), "int"},
            {1.5, "float"},
            {{1, 2}, "tuple"},
            # A charlist is a list of small numbers, and so is the list of numbers: neither side can tell.
            {'abc', "List"},
            {[97, 98, 99], "List"},
            {self(), "OpaqueObject"},
            {make_ref(), "OpaqueObject"}
          ] do
        assert :python.call(python, @terms, :kind, [term]) == kind
      end
    end

    test "come from Python", %{python: python} do
      assert :python.call(python, @terms, :made, []) ===
               {:made, "in python", Integer.pow(2, 70), -1, 1.5, ["a", [], {true, false, :undefined}]}

      reference = make_ref()
      :python.call(python, @terms, :told, [self(), {:got, reference, ["x"]}])
      assert_receive {:got, ^reference, ["x"]}, 5_000
    end
  end

  describe "an app that calls graphport.erlport itself" do
    @graph %{
      "nodes" => [
        %{"id" => "words", "type" => "slow-words", "data" => %{"text" => "one two"}},
        %{"id" => "answer", "type" => "text-output"}
      ],
      "edges" => [
        %{"source" => "words", "source_handle" => "text", "target" => "answer", "target_handle" => "text"}
      ]
    }

    setup do
      python = start_python()
      :ok = :python.call(python, @door, :start, [pack(%{"nodes" => ["graphport_test_nodes"]})])
      :ok = :python.call(python, @door, :open, [self(), pack(%{"session" => 1, "graph" => @graph})])
      assert_receive {:open_complete, 1, facts}, 5_000
      assert %{"revision" => 1, "nodes" => 2, "sinks" => ["answer"]} = unpack(facts)
      {:ok, python: python}
    end

    test "gets ok, then chunks and one last message", %{python: python} do
      demand = pack(%{"session" => 1, "node" => "answer", "stream" => true})
      assert :ok = :python.call(python, @door, :demand_async, [self(), demand])
      assert_receive {:demand_complete, "answer", outputs}, 5_000
      assert unpack(outputs) == %{"text" => "one two"}
      chunks = mailbox()
      assert Enum.map_join(chunks, fn {:node_stream, "words", chunk} -> unpack(chunk) end) == "one two "
      assert chunks != []
    end

    test "gets an error as MessagePack", %{python: python} do
      demand = pack(%{"session" => 1, "node" => "nobody"})
      assert :ok = :python.call(python, @door, :demand_async, [self(), demand])
      assert_receive {:demand_error, "nobody", error}, 5_000
      assert %{"code" => "unknown_node"} = unpack(error)
    end

    test "is told what is wrong with a payload in the call", %{python: python} do
      assert {:python, :"graphport.core.errors.WireError", text, _trace} =
               catch_error(:python.call(python, @door, :demand_async, [self(), pack([])]))

      assert to_string(text) =~ "MessagePack map"
      assert :ok = :python.call(python, @door, :close, [pack(%{"session" => 1})])
    end

    test "leaves no process when it stops ErlPort", %{python: python} do
      os_pid = :python.call(python, @terms, :os_pid, [])
      assert os_alive?(os_pid)
      :python.stop(python)
      eventually(fn -> not os_alive?(os_pid) end)
    end
  end

  test "what nodes print goes through ErlPort, and what is written past Python does no harm" do
    printed =
      capture_io(fn ->
        python = start_python()
        :ok = :python.call(python, @door, :start, [pack(%{"nodes" => ["graphport_test_nodes"]})])

        graph = %{
          "nodes" => [%{"id" => "n", "type" => "prints", "data" => %{"text" => "hey"}}],
          "edges" => []
        }

        :ok = :python.call(python, @door, :open, [self(), pack(%{"session" => 1, "graph" => graph})])
        :ok = :python.call(python, @door, :demand_async, [self(), pack(%{"session" => 1, "node" => "n"})])
        assert_receive {:demand_complete, "n", _outputs}, 5_000
        :python.stop(python)
      end)

    assert printed =~ "hey from Python"
  end

  describe "transport: :erlport" do
    defp start_served(name, options \\ []),
      do: start_engine(name, [nodes: ["graphport_test_nodes"], transport: :erlport] ++ options)

    defp one(type), do: %{nodes: [%{id: "n", type: type}], edges: []}

    test "an engine that is killed says how it ended", %{name: name} do
      start_served(name)
      session = Graphport.open!(name, one("forever"))
      os_pid = os_pid(name)
      {:ok, _demand} = Graphport.demand_async(session, "n")
      OsProcess.kill(os_pid, OsProcess.start_time(os_pid))
      assert_receive {:demand_error, "n", %Error{code: :engine_down, message: text}}, 5_000
      assert text =~ "exit status 137"
    end

    test "an engine that hangs is killed and replaced", %{name: name} do
      start_served(name, hang_timeout: 500)
      session = Graphport.open!(name, one("forever"))
      os_pid = os_pid(name)
      {:ok, _demand} = Graphport.demand_async(session, "n")
      System.cmd("kill", ["-STOP", to_string(os_pid)])
      assert_receive {:demand_error, "n", %Error{code: :engine_down, message: text}}, 10_000
      assert text =~ "said nothing for 500 ms"
      refute os_alive?(os_pid)
    end

    test "the end of ErlPort's process is the end of the epoch", %{name: name} do
      start_served(name)

      session =
        Graphport.open!(name, %{nodes: [%{id: "n", type: "same"}, %{id: "f", type: "forever"}], edges: []})

      os_pid = os_pid(name)
      {:ok, _demand} = Graphport.demand_async(session, "f")
      [{_index, :up, _epoch, python, _credit, _facts}] = :ets.tab2list(engines(name))
      Process.exit(python, :kill)
      assert_receive {:demand_error, "f", %Error{code: :engine_down}}, 5_000
      assert {:ok, %{"value" => 1}} = Graphport.demand(session, "n", inputs: %{"n" => %{"value" => 1}})
      eventually(fn -> not os_alive?(os_pid) end)
    end

    test "an owner that is killed leaves no process", %{name: name} do
      start_served(name)
      os_pid = os_pid(name)
      {:ok, instance} = Graphport.Instance.fetch(name)
      Process.exit(owner(instance.name), :kill)
      eventually(fn -> not os_alive?(os_pid) end)
      eventually(fn -> os_pid(name) != os_pid end)
    end

    test "without ErlPort start_link says what to do" do
      ebin = :graphport |> :code.lib_dir(:ebin) |> to_string()

      script =
        ~S'{:error, error} = Graphport.start_link(name: G, transport: :erlport); IO.puts([to_string(error.code), " ", error.message])'

      {text, 0} = System.cmd("elixir", ["-pa", ebin, "-e", script], env: [{"ERL_LIBS", nil}])
      assert "erlport_not_found transport: :erlport needs the Erlang application ErlPort" <> _ = text
    end
  end

  test "closing ends ErlPort's process at once, and a frame written afterwards is refused" do
    Process.flag(:trap_exit, true)
    python = start_python()
    credit = Credit.new()
    assert :ok = Writer.force(python, credit, "a frame")
    assert true = Erlport.close(python)
    monitor = Process.monitor(python)
    assert_receive {:DOWN, ^monitor, :process, ^python, _reason}, 5_000
    assert {:error, :closed} = Writer.try_write(python, credit, "a frame", :normal)
    assert {:error, :closed} = Writer.force(python, credit, "a frame")
    assert Credit.unread(credit) == {1, 7}
    refute_received {:EXIT, ^python, _reason}
  end

  test "ErlPort is given a path for modules only if there is one" do
    command = %{executable: "/usr/bin/python3", python_path: [], nodes: []}
    assert Erlport.options(command) == [:nouse_stdio, packet: 4, python: '/usr/bin/python3']
    assert {:python_path, ['/a']} in Erlport.options(%{command | python_path: ["/a"]})
    assert {:error, {:invalid_option, _option, _why}} = :python.start(python_path: [])
  end

  test "why a process of ErlPort's ended, in words" do
    assert Erlport.why({:port_closed, {:code, 3}}) == "exit status 3"

    assert Erlport.why({:async_call_error, {:python, :"builtins.ModuleNotFoundError", 'no graphport', []}}) ==
             "builtins.ModuleNotFoundError: no graphport"

    assert Erlport.why(:timeout) == "ErlPort's process ended with :timeout"
  end

  defp engines(name) do
    {:ok, instance} = Graphport.Instance.fetch(name)
    instance.engines
  end
end
