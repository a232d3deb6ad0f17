defmodule Graphport.Faults.PythonMissingTest do
  # A Python that is missing, slow or broken, once an instance has been up: the app's supervisor, which forgives nothing
  # here, does not notice; whoever asks is told; and when Python is back, all goes on.
  use Graphport.Case, async: true

  alias Graphport.{Error, FaultStates, OsProcesses}

  @moduletag :capture_log
  @moduletag :tmp_dir
  @patience_ms 20_000

  setup %{name: name, tmp_dir: tmp_dir} do
    folder = marked_folder(tmp_dir)
    python = Path.join(folder, "python")
    File.ln_s!(python(), python)
    peer = peer_options(name)
    paths = [folder | peer[:python_path]]
    {:ok, folder: folder, python: python, options: Keyword.merge(peer, python: python, python_path: paths)}
  end

  # The app's supervisor, with one more child.
  defp start_app(options, strategy \\ :one_for_one, restarts \\ 0) do
    sibling = %{id: :sibling, start: {Agent, :start_link, [fn -> nil end]}}
    limits = [strategy: strategy, max_restarts: restarts, max_seconds: 600]
    start = {Supervisor, :start_link, [[sibling, {Graphport, options}], limits]}
    start_supervised!(%{id: :app, start: start, type: :supervisor, restart: :temporary})
  end

  defp await_down(name, text) do
    eventually(
      fn ->
        case Graphport.info(name) do
          {:ok, %{engines: [%{status: :down, error: %Error{message: message}}]}} -> message =~ text
          _not_yet -> false
        end
      end,
      @patience_ms
    )
  end

  defp await_up(name) do
    eventually(fn -> match?({:ok, %{engines: [%{status: :up}]}}, Graphport.info(name)) end, @patience_ms)
  end

  defp put_back(python) do
    File.rm(python)
    File.ln_s!(python(), python)
  end

  defp whole(app), do: assert(%{active: 2} = Supervisor.count_children(app))

  test "gone when the engine dies", %{name: name, options: options, python: python} do
    app = start_app(options)
    {:ok, session} = Graphport.open(name, %{})
    engine = os_pid(name)
    File.rm!(python)
    OsProcesses.kill(engine)

    await_down(name, "#{python}: not found")
    assert {:error, %Error{code: :engine_down} = error} = Graphport.demand(session, "echo", timeout: 300)
    assert Exception.message(error) =~ "#{python}: not found"
    assert {:error, %Error{code: :engine_down}} = Graphport.demand_async(session, "echo", timeout: 300)
    assert {:error, %Error{code: :engine_down}} = Graphport.open(name, %{}, timeout: 300)
    assert {:error, %Error{code: :engine_down}} = Graphport.nodes(name)
    whole(app)

    put_back(python)
    assert {:ok, _outputs} = Graphport.demand(session, "echo", timeout: @patience_ms)
    whole(app)
    assert mailbox() == []
  end

  test "gone when the instance is started again after a crash", context do
    %{name: name, options: options, python: python} = context
    app = start_app(options, :one_for_one, 1)
    File.rm!(python)
    Process.exit(Process.whereis(name), :kill)

    await_down(name, "#{python}: not found")
    assert {:error, %Error{code: :engine_down}} = Graphport.open(name, %{}, timeout: 300)
    put_back(python)
    assert {:ok, session} = Graphport.open(name, %{}, timeout: @patience_ms)
    assert {:ok, _outputs} = Graphport.demand(session, "echo")
    whole(app)
  end

  test "there, when the supervisor above is killed and started again", context do
    %{name: name, options: options} = context
    {:ok, _pid} = Graphport.start_link(options) |> tap(fn {:ok, pid} -> Supervisor.stop(pid) end)

    middle = %{
      id: :middle,
      type: :supervisor,
      start: {Supervisor, :start_link, [[{Graphport, options}], [strategy: :one_for_one]]}
    }

    {:ok, top} =
      start_supervised(%{
        id: :top,
        type: :supervisor,
        start: {Supervisor, :start_link, [[middle], [strategy: :one_for_one]]}
      })

    await_up(name)
    {:ok, session} = Graphport.open(name, %{})
    {:ok, _demand} = Graphport.demand_async(session, "silent")
    [{:middle, killed, _type, _modules}] = Supervisor.which_children(top)
    Process.exit(killed, :kill)
    assert_receive {:demand_error, "silent", %Error{}}, @patience_ms
    eventually(fn -> match?({:ok, _session}, Graphport.open(name, %{}, timeout: 1_000)) end, @patience_ms)
    assert Process.alive?(top)
    assert [{:middle, _another, _type, _modules}] = Supervisor.which_children(top)
  end

  test "gone when the instance is started again because of a sibling", context do
    %{name: name, options: options, python: python} = context
    app = start_app(options, :one_for_all, 1)
    File.rm!(python)
    {:sibling, sibling, _type, _modules} = List.keyfind(Supervisor.which_children(app), :sibling, 0)
    Agent.stop(sibling, :shutdown)

    await_down(name, "#{python}: not found")
    whole(app)
    put_back(python)
    await_up(name)
  end

  test "gone at the first start, or at one with other options: an error", context do
    %{name: name, options: options, python: python} = context
    File.rm!(python)
    assert {:error, %Error{code: :python_not_found}} = Graphport.start_link(options)
    put_back(python)
    start_app(options)
    :ok = stop_supervised(:app)
    File.rm!(python)
    assert {:error, %Error{code: :python_not_found}} = Graphport.start_link([hang_timeout: 9_999] ++ options)
    assert {:error, %Error{code: :unknown_instance}} = Graphport.info(name)
    assert {:ok, instance} = Graphport.start_link(options)
    Supervisor.stop(instance)
  end

  test "too slow when the engine dies", %{name: name, options: options, python: python, folder: folder} do
    app = start_app([start_timeout: 2_000] ++ options)
    {:ok, session} = Graphport.open(name, %{})
    engine = os_pid(name)
    File.rm!(python)
    File.write!(python, "#!/bin/sh\nexec sleep 1000\n")
    File.chmod!(python, 0o700)
    OsProcesses.kill(engine)

    await_down(name, "it was not ready within 2000 ms")
    assert {:error, %Error{code: :engine_down}} = Graphport.demand(session, "echo", timeout: 100)
    put_back(python)
    assert {:ok, _outputs} = Graphport.demand(session, "echo", timeout: @patience_ms)
    eventually(fn -> OsProcesses.marked(folder) == [os_pid(name)] end)
    whole(app)
  end

  test "nodes that cannot be imported any more", %{name: name, folder: folder} do
    module = Path.join(folder, "nodes_of_this_test.py")
    good = "from graphport import node\n\n@node\ndef whole() -> int:\n    return 1\n"
    File.write!(module, good)
    paths = [folder, Path.expand("../../../python", __DIR__)]
    app = start_app(name: name, python: python(), python_path: paths, nodes: ["nodes_of_this_test"])
    {:ok, session} = Graphport.open(name, %{nodes: [%{id: "n", type: "whole"}], edges: []})
    File.write!(module, "half of a line (")
    OsProcesses.kill(os_pid(name))

    await_down(name, "nodes_of_this_test")
    assert {:error, %Error{code: :engine_down} = error} = Graphport.demand(session, "n", timeout: 500)
    assert Exception.message(error) =~ "SyntaxError"
    whole(app)
    File.write!(module, good)
    assert {:ok, %{"value" => 1}} = Graphport.demand(session, "n", timeout: @patience_ms)
    assert FaultStates.eventually(fn -> length(OsProcesses.marked(folder)) == 1 end) == :ok
  end
end
