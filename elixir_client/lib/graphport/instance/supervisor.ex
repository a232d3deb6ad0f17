defmodule Graphport.Instance.Supervisor do
  # An instance: its processes (`Core`), and what lets them finish their work when it is stopped (`Drain`). Starts them
  # and waits until every engine is up, in the process that starts the instance: the first time. See `FirstStart`.
  @moduledoc false
  use Supervisor

  alias Graphport.{Aside, Error, Instance}
  alias Graphport.Options.Cache
  alias Graphport.Instance.{Core, Drain, Engine, FirstStart, Predecessor, Reporter, Spans}
  alias Graphport.Node.Spec
  alias Graphport.Port.{Erlport, Python}

  # The engine answers or fails within its own start time-out; this is only for an owner that cannot even do that.
  @start_grace_ms 5_000

  @doc "Starts an instance. Waits until its engines are up, unless they were up before with the same options."
  @spec start_link(map) :: {:ok, pid} | {:error, Error.t() | term}
  def start_link(options) do
    with {:ok, modules, specs} <- Spec.declare(options.host_nodes) do
      options = Map.merge(options, %{host_nodes: modules, host_specs: specs})

      case FirstStart.recall(options) do
        {:ok, executable} -> start_processes(options, executable)
        :none -> first_start(options)
      end
    end
  end

  defp first_start(options) do
    with :ok <- check(options.transport),
         {:ok, executable} <- Python.find(options.python, options.python_path),
         {:ok, pid} <- start_processes(options, executable) do
      case await(options, pid) do
        :ok ->
          FirstStart.remember(options, executable)
          {:ok, pid}

        {:error, _error} = failed ->
          stop(pid, failed)
      end
    end
  end

  # The name may be that of an instance whose supervisor was killed: it ends, but not at once.
  defp start_processes(options, executable) do
    start = fn -> Supervisor.start_link(__MODULE__, settings(options, executable), name: options.name) end

    with {:error, {:already_started, pid}} = taken <- start.() do
      if Predecessor.orphaned?(pid) do
        Predecessor.await([pid])
        start.()
      else
        taken
      end
    end
  end

  @impl Supervisor
  def init(%{telemetry: false} = settings), do: start(%{settings | telemetry: nil}, [])

  def init(%{telemetry: wanted, name: name} = settings) do
    Predecessor.await_reporter(name)
    settings = %{settings | telemetry: Spans.create(name, wanted == :nodes)}
    start(settings, [{Reporter, settings}])
  end

  defp start(settings, reporter),
    do: Supervisor.init(reporter ++ [{Core, settings}, {Drain, settings}], strategy: :one_for_one)

  defp check(:erlport), do: Erlport.check()
  defp check(:port), do: :ok

  defp settings(options, executable) do
    %{
      name: options.name,
      command: %{
        transport: options.transport,
        executable: executable,
        nodes: options.nodes,
        python_path: options.python_path
      },
      engines: options.engines,
      host_nodes: options.host_nodes,
      host_concurrency: options.host_concurrency,
      pubsub: options.pubsub,
      telemetry: Spans.available?() and options.telemetry,
      telemetry_interval: options.telemetry_interval,
      start_timeout: options.start_timeout,
      drain_timeout: options.drain_timeout,
      parent: self(),
      hello: hello(options),
      hang_timeout: options.hang_timeout
    }
  end

  defp hello(options) do
    given = [
      {"backend", options.backend},
      {"cache", cache(options.cache)},
      {"host_nodes", host_nodes(options.host_specs)}
    ]

    for {name, value} <- given, value, into: %{}, do: {name, value}
  end

  defp cache([]), do: nil
  defp cache(cache), do: Cache.to_wire(cache)
  defp host_nodes([]), do: nil
  defp host_nodes(specs), do: specs

  defp await(options, supervisor) do
    wait = fn -> await_engines(options, supervisor) end

    case Aside.run(wait, options.start_timeout + @start_grace_ms) do
      {:ok, result} -> result
      {:exit, reason} -> ended(reason)
      nil -> {:error, Error.new(:engine_down, "the engine was not ready within #{options.start_timeout} ms")}
    end
  end

  defp await_engines(%{name: name, engines: engines}, supervisor) do
    monitor = Process.monitor(supervisor)
    with {:ok, instance} <- Instance.fetch(name), do: Engine.await(instance)
    await_each(Enum.to_list(0..(engines - 1)), monitor)
  end

  defp await_each([], _monitor), do: :ok

  defp await_each(indices, monitor) do
    receive do
      {:engine_up, epoch} -> await_each(indices -- [Instance.engine_of(epoch)], monitor)
      {:engine_failed, error} -> {:error, error}
      {:DOWN, ^monitor, :process, _supervisor, reason} -> ended(reason)
    end
  end

  defp ended(reason) do
    text = "the instance ended before its engine was up: #{Exception.format_exit(reason)}"
    {:error, Error.new(:engine_down, text)}
  end

  defp stop(pid, failed) do
    Process.unlink(pid)
    Supervisor.stop(pid, :shutdown)
    failed
  catch
    # It had ended by itself: the news must not stay in the mailbox.
    :exit, _gone ->
      receive do
        {:EXIT, ^pid, _reason} -> failed
      after
        0 -> failed
      end
  end
end
