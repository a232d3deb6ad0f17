defmodule Graphport.Case do
  # For tests that need an instance: each test gets one named after itself, so that tests run at once. The peer is
  # `test/support/peer`, which speaks the wire as a test wants it; the real engine is for `test/integration`.
  @moduledoc false
  use ExUnit.CaseTemplate

  @peer Path.expand("peer", __DIR__)
  @repository Path.expand("../../..", __DIR__)

  using do
    quote do
      import Graphport.Case
    end
  end

  setup context do
    {:ok, name: :"#{context.module |> Module.split() |> List.last()} #{context.test}"}
  end

  @doc "Starts an instance whose engine is the scripted peer."
  def start_peer(name, options \\ []) do
    start_supervised!({Graphport, peer_options(name, options)})

    name
  end

  @doc "The options that start the peer, for tests of the start itself."
  def peer_options(name, options \\ []),
    do: Keyword.merge([name: name, python: python(), python_path: [@peer], drain_timeout: 0], options)

  @doc "Starts an instance with the real engine."
  def start_engine(name, options \\ []) do
    paths = [Path.join(@repository, "python"), Path.expand("nodes", __DIR__)]
    given = [name: name, python: python(), python_path: paths, drain_timeout: 0]
    start_supervised!({Graphport, Keyword.merge(given, options)})
    name
  end

  @doc "A new folder in a test's `tmp_dir`, so that its path marks the processes of this run: see `Graphport.OsProcesses`."
  def marked_folder(tmp_dir) do
    folder = Path.join(tmp_dir, "#{System.os_time()}")
    File.mkdir_p!(folder)
    folder
  end

  @doc "GRAPHPORT_PYTHON, or the repository's environment, or any Python."
  def python do
    venv = Path.join(@repository, ".venv/bin/python")

    cond do
      path = System.get_env("GRAPHPORT_PYTHON") -> path
      File.exists?(venv) -> venv
      true -> System.find_executable("python3")
    end
  end

  @doc "Waits until a condition holds, looking every few milliseconds; for what sends no message."
  def eventually(condition, left_ms \\ 5_000) do
    cond do
      condition.() -> true
      left_ms <= 0 -> raise ExUnit.AssertionError, message: "the condition did not come to hold"
      true -> receive(after: (10 -> eventually(condition, left_ms - 10)))
    end
  end

  @doc "All messages in the mailbox, oldest first."
  def mailbox do
    receive do
      message -> [message | mailbox()]
    after
      0 -> []
    end
  end

  @doc "Sends a signal to an OS process: `STOP` makes an engine read nothing, until `CONT`."
  def signal(os_pid, name) do
    {"", 0} = System.cmd("/bin/sh", ["-c", "kill -$0 $1", name, Integer.to_string(os_pid)])
  end

  @doc "What `Graphport.info/1` says of an instance's only engine."
  def engine(name) do
    {:ok, %{engines: [engine]}} = Graphport.info(name)
    engine
  end

  @doc "The OS process of an instance's only engine."
  def os_pid(name), do: engine(name).os_pid

  @doc "The process that owns an instance's engine."
  def owner(name, index \\ 0), do: name |> Graphport.Instance.owner(index) |> Process.whereis()

  @doc "Whether an OS process exists and is no zombie."
  def os_alive?(os_pid), do: Graphport.Port.OsProcess.start_time(os_pid) != nil
end
