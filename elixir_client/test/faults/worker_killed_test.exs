defmodule Graphport.Faults.WorkerKilledTest do
  # kill -9 of a model's worker, and of those it must not outlive, while the small real model generates.
  use Graphport.Case

  alias Graphport.{Error, OsProcesses}

  @moduletag :capture_log
  @moduletag :model
  @moduletag :tmp_dir
  @graph Path.expand("../../examples/answer.json", __DIR__)
  @patience_ms 60_000
  @long %{"llm" => %{"max_tokens" => 1_500}, "prompt" => %{"text" => "Count from one to a thousand."}}
  @short %{"llm" => %{"max_tokens" => 3}, "prompt" => %{"text" => "What is the capital of France?"}}

  setup %{name: name, tmp_dir: tmp_dir} do
    folder = marked_folder(tmp_dir)
    paths = [folder, Path.expand("../../../python", __DIR__)]
    start_engine(name, python_path: paths)
    session = Graphport.open!(name, {:file, @graph})
    engine = os_pid(name)
    {:ok, _demand} = Graphport.demand_async(session, "answer", inputs: @long)
    assert_receive {:node_stream, "llm", _chunk}, @patience_ms
    [worker] = OsProcesses.marked(folder) -- [engine]
    {:ok, folder: folder, session: session, engine: engine, worker: worker}
  end

  # The chunks that came before it, then the one last message.
  defp last do
    receive do
      {:node_stream, "llm", _chunk} -> last()
      {:demand_error, "answer", %Error{code: code}} -> code
    after
      @patience_ms -> flunk("no last message")
    end
  end

  defp goes_on(name, session, folder) do
    assert mailbox() == []

    eventually(
      fn -> match?({:ok, _outputs}, Graphport.demand(session, "answer", inputs: @short)) end,
      @patience_ms
    )

    assert [_engine, _worker] = OsProcesses.marked(folder)
    assert {:ok, %{open_demands: 0}} = Graphport.info(name)
  end

  test "the worker: the demand fails, the next one gets a new worker", context do
    %{name: name, session: session, engine: engine, worker: worker, folder: folder} = context
    OsProcesses.kill(worker)
    assert last() == :backend_crashed
    goes_on(name, session, folder)
    assert os_pid(name) == engine
    refute os_alive?(worker)
  end

  test "the engine: its worker ends too", context do
    %{name: name, session: session, engine: engine, worker: worker, folder: folder} = context
    OsProcesses.kill(engine)
    assert last() == :engine_down
    eventually(fn -> not os_alive?(worker) end, @patience_ms)
    goes_on(name, session, folder)
  end

  test "an engine that is held up, by the end of its owner: its worker ends too", context do
    %{name: name, session: session, engine: engine, worker: worker, folder: folder} = context
    signal(engine, "STOP")
    Process.exit(owner(name), :kill)
    assert last() == :engine_down
    eventually(fn -> not os_alive?(worker) end, @patience_ms)
    goes_on(name, session, folder)
  end
end
