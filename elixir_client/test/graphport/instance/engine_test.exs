defmodule Graphport.Instance.EngineTest do
  # The life of an engine: start, death, hang, nonsense, stop. The engine is the scripted peer.
  use Graphport.Case, async: true

  import ExUnit.CaptureLog

  alias Graphport.{Error, Instance}
  alias Graphport.Port.OsProcess

  describe "start_link/1" do
    test "is up when it returns, and the engine is the port's own child", %{name: name} do
      start_peer(name)
      assert %{status: :up, os_pid: os_pid, version: "peer"} = engine(name)
      assert File.read!("/proc/#{os_pid}/cmdline") =~ "graphport"
    end

    test "says what the engine printed when it does not start", %{name: name} do
      assert {:error, %Error{code: :engine_down, message: text}} =
               Graphport.start_link(peer_options(name, nodes: ["exits"]))

      assert text =~ "exit status 3"
      assert text =~ "no such luck"
      assert {:error, %Error{code: :unknown_instance}} = Graphport.info(name)
    end

    test "gives the engine's own error", %{name: name} do
      assert {:error, %Error{code: :invalid_nodes, message: text}} =
               Graphport.start_link(peer_options(name, nodes: ["refuses"]))

      assert text =~ "no module named refuses"
    end

    test "gives up after the start time-out, and leaves no process", %{name: name} do
      options = peer_options(name, nodes: ["never_ready"], start_timeout: 300)
      assert {:error, %Error{code: :engine_down, message: text}} = Graphport.start_link(options)
      assert text =~ "not ready within 300 ms"
      assert Process.whereis(name) == nil
    end

    test "refuses another protocol and a wrapper", %{name: name} do
      assert {:error, %Error{message: text}} = Graphport.start_link(peer_options(name, nodes: ["protocol_2"]))
      assert text =~ "protocol 2"
      assert {:error, %Error{message: text}} = Graphport.start_link(peer_options(name, nodes: ["other_pid"]))
      assert text =~ "behind a wrapper"
    end

    test "says which Python is missing", %{name: name} do
      assert {:error, %Error{code: :python_not_found, message: text}} =
               Graphport.start_link(name: name, python: "/nowhere/python")

      assert text =~ "/nowhere/python"
      assert {:error, %Error{code: :python_not_found}} = Graphport.start_link(name: name, python: "/bin/true")

      assert {:error, %Error{code: :python_not_found, message: text}} =
               Graphport.start_link(name: name, python: "/bin/cat")

      assert text =~ "no Python"
    end

    test "is an error, and leaves nothing, if waiting for the engine fails or the instance ends", %{
      name: name
    } do
      for whom <- [:waiting, :instance] do
        me = self()

        spawn(fn ->
          Process.flag(:trap_exit, true)
          result = Graphport.start_link(peer_options(name, nodes: ["mute"]))
          send(me, {:started, result, mailbox()})
        end)

        eventually(fn -> waiting_for(name) != nil end)
        Process.exit(if(whom == :instance, do: Process.whereis(name), else: waiting_for(name)), :kill)
        assert_receive {:started, {:error, %Error{code: :engine_down, message: text}}, []}, 10_000
        assert text =~ "killed"
        eventually(fn -> Process.whereis(name) == nil end)
        eventually(fn -> match?({:error, %Error{code: :unknown_instance}}, Graphport.info(name)) end)
      end
    end

    test "leaves nothing in the mailbox of whoever starts it", %{name: name} do
      {:ok, pid} = Graphport.start_link(peer_options(name))
      Process.unlink(pid)
      Supervisor.stop(pid)
      assert mailbox() == []
    end
  end

  describe "the end of an engine" do
    test "gives every open demand one engine_down, and a new engine answers the next", %{name: name} do
      start_peer(name)
      {:ok, session} = Graphport.open(name, %{})
      old = os_pid(name)
      for n <- 1..3, do: {:ok, _demand} = Graphport.demand_async(session, "silent:#{n}")
      {:ok, _demand} = Graphport.demand_async(session, "die:7")

      for node <- ["silent:1", "silent:2", "silent:3", "die:7"] do
        assert_receive {:demand_error, ^node, %Error{code: :engine_down, message: text}}, 5_000
        assert text =~ "exit status 7"
      end

      {:ok, instance} = Instance.fetch(name)
      assert :ets.tab2list(instance.routes) == []
      assert {:ok, %{"session" => _}} = Graphport.demand(session, "echo")
      assert %{os_pid: new, open_demands: 0} = engine(name)
      assert new != old
      assert mailbox() == []
    end

    test "also by kill -9", %{name: name} do
      start_peer(name)
      {:ok, session} = Graphport.open(name, %{})
      os_pid = os_pid(name)
      {:ok, _demand} = Graphport.demand_async(session, "silent")
      OsProcess.kill(os_pid, OsProcess.start_time(os_pid))
      assert_receive {:demand_error, "silent", %Error{code: :engine_down}}, 5_000
      assert {:ok, _outputs} = Graphport.demand(session, "echo")
    end

    test "while a graph is being loaded: it is loaded into the next one", %{name: name} do
      start_peer(name)
      task = Task.async(fn -> Graphport.open(name, %{silent: true}, owner: :none) end)
      {:ok, session} = Graphport.open(name, %{})
      {:ok, _outputs} = Graphport.demand(session, "opens:2")
      {:ok, _demand} = Graphport.demand_async(session, "die")
      assert_receive {:demand_error, "die", %Error{code: :engine_down}}, 5_000
      assert {:ok, %{"ids" => [_first, _second]}} = Graphport.demand(session, "opens:2")
      Task.shutdown(task)
    end

    test "of one that hangs is brought about", %{name: name} do
      start_peer(name, hang_timeout: 300)
      {:ok, session} = Graphport.open(name, %{})
      os_pid = os_pid(name)
      {:ok, _demand} = Graphport.demand_async(session, "hang")
      assert_receive {:demand_error, "hang", %Error{code: :engine_down, message: text}}, 5_000
      assert text =~ "said nothing for 300 ms"
      eventually(fn -> not os_alive?(os_pid) end)
      assert {:ok, _outputs} = Graphport.demand(session, "echo")
    end

    ping = "92A4706F6E67"

    for {what, node} <- [
          {"reserved byte", "garbage"},
          {"malformed", "malformed"},
          {"cut", "raw:92"},
          {"empty", "raw:"},
          {"doubled", "raw:#{ping}01C0"},
          {"number for a", "raw:05"},
          {"batch of no messages in a", "raw:9190"},
          {"short", "raw:91A4706F6E67"},
          {"non-UTF-8", "raw:#{ping}A1FF"},
          {"list-keyed", "raw:#{ping}819001"},
          {"unknown extension", "raw:#{ping}D46300"},
          {"deep", "raw:#{ping}" <> String.duplicate("91", 20_000) <> "01"},
          {"4-billion-item", "raw:#{ping}DDFFFFFFFF"},
          {"4-billion-byte", "raw:#{ping}C6FFFFFFFF"},
          {"boastful credit", "raw:93A6637265646974CE7FFFFFFFCE7FFFFFFF"},
          {"half-typed answer", "raw:95AF64656D616E645F636F6D706C65746501A16EC080"}
        ] do
      test "of one that sends a #{what} frame is brought about", %{name: name} do
        start_peer(name)
        {:ok, session} = Graphport.open(name, %{})
        {:ok, _demand} = Graphport.demand_async(session, unquote(node))
        assert_receive {:demand_error, unquote(node), %Error{code: :engine_down, message: text}}, 5_000
        assert text =~ "breaks the protocol"
        assert {:ok, _outputs} = Graphport.demand(session, "echo")
      end
    end

    test "is survived by the owner, whose own death gives engine_down and a new engine", %{name: name} do
      start_peer(name)
      {:ok, session} = Graphport.open(name, %{})
      os_pid = os_pid(name)
      {:ok, _demand} = Graphport.demand_async(session, "silent")
      Process.exit(owner(name), :kill)
      assert_receive {:demand_error, "silent", %Error{code: :engine_down}}, 5_000
      assert {:ok, _outputs} = Graphport.demand(session, "echo")
      eventually(fn -> not os_alive?(os_pid) end)
    end
  end

  test "an engine that is stopped in its tracks is killed after its owner", %{name: name} do
    start_peer(name)
    {:ok, session} = Graphport.open(name, %{})
    os_pid = os_pid(name)
    {:ok, _demand} = Graphport.demand_async(session, "hang")
    eventually(fn -> File.read!("/proc/#{os_pid}/stat") =~ ") T " end)
    Process.exit(owner(name), :kill)
    assert_receive {:demand_error, "hang", %Error{code: :engine_down}}, 5_000
    eventually(fn -> not os_alive?(os_pid) end)
  end

  describe "stopping an instance" do
    test "gives open demands shutting_down and leaves no process", %{name: name} do
      start_peer(name)
      {:ok, session} = Graphport.open(name, %{})
      os_pid = os_pid(name)
      {:ok, _demand} = Graphport.demand_async(session, "silent")
      words = File.read_link!("/proc/#{os_pid}/fd/2")
      assert File.exists?(words)
      :ok = stop_supervised({Graphport, name})
      assert_receive {:demand_error, "silent", %Error{code: :shutting_down}}
      refute os_alive?(os_pid)
      refute File.exists?(words)
      assert {:error, %Error{}} = Graphport.demand(session, "echo")
      assert :ok = Graphport.close(session)
    end

    test "by killing its supervisor also ends its demands and its process, and logs no fault", %{name: name} do
      log =
        capture_log(fn ->
          {:ok, supervisor} = Graphport.start_link(peer_options(name))
          {:ok, session} = Graphport.open(name, %{})
          os_pid = os_pid(name)
          {:ok, _demand} = Graphport.demand_async(session, "silent")
          {:ok, instance} = Instance.fetch(name)
          # Those directly under the supervisor log their end, and some end last.
          children = for {_id, pid, _type, _modules} <- Supervisor.which_children(supervisor), do: pid
          ends = for pid <- [instance.table, owner(instance.name) | children], do: Process.monitor(pid)
          Process.unlink(supervisor)
          Process.exit(supervisor, :kill)
          assert_receive {:demand_error, "silent", %Error{code: :shutting_down}}, 5_000
          for monitor <- ends, do: assert_receive({:DOWN, ^monitor, :process, _pid, _reason}, 5_000)
          eventually(fn -> not os_alive?(os_pid) end)
          assert mailbox() == []
        end)

      # Other tests log at the same time.
      own =
        log |> String.split(~r/\n(?=\d\d:\d\d:\d\d\.\d{3} )/) |> Enum.filter(&(&1 =~ Atom.to_string(name)))

      assert own != []
      refute Enum.any?(own, &(&1 =~ "ArgumentError" or &1 =~ "badarg"))
    end

    test "kills an engine that is stopped in its tracks", %{name: name} do
      start_peer(name)
      {:ok, session} = Graphport.open(name, %{})
      os_pid = os_pid(name)
      {:ok, _demand} = Graphport.demand_async(session, "hang")
      eventually(fn -> File.read!("/proc/#{os_pid}/stat") =~ ") T " end)
      :ok = stop_supervised({Graphport, name})
      refute os_alive?(os_pid)
    end
  end

  describe "messages of the engine" do
    test "of an unknown name are ignored", %{name: name} do
      start_peer(name)
      {:ok, session} = Graphport.open(name, %{})
      assert {:ok, %{}} = Graphport.demand(session, "future")
    end

    test "log lines reach Logger with level and metadata, and make no atom", %{name: name} do
      start_peer(name)
      {:ok, session} = Graphport.open(name, %{})

      text =
        capture_log([metadata: [:logger, :os_pid], format: "$level $metadata$message\n"], fn ->
          assert {:ok, %{}} = Graphport.demand(session, "log:error")
          relay = :sys.get_state(:"#{inspect(name)}.log_relay")
          assert relay == name
        end)

      os_pid = os_pid(name)
      assert text =~ "error logger=some.logger.nobody.knows os_pid=#{os_pid} a line from the engine"
      assert_raise ArgumentError, fn -> String.to_existing_atom("key_that_is_" <> "no_atom") end
    end
  end

  # The process that waits for the engine monitors the instance's supervisor, as nobody else does.
  defp waiting_for(name) do
    with pid when is_pid(pid) <- Process.whereis(name),
         {:monitored_by, [waiting | _]} <- Process.info(pid, :monitored_by),
         do: waiting,
         else: (_not_yet -> nil)
  end
end
