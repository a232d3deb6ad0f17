defmodule Graphport.Instance.Supervisor do
  # The processes of an instance, in the order in which they need one another (`:rest_for_one`). The engine owner comes
  # late: its end takes no session with it, and at shutdown it goes while those it tells are still there. The registry
  # of names stands before it for the same reason, since a named session is linked to it, and after the sessions, so
  # that its own end takes no unnamed one along. The log relay is last: losing it costs log lines and nothing else.
  @moduledoc false
  use Supervisor

  alias Graphport.{Aside, Error, Instance}
  alias Graphport.Instance.{Engine, Janitor, LogRelay, Table}
  alias Graphport.Port.{Erlport, Python}

  # The engine answers or fails within its own start time-out; this is only for an owner that cannot even do that.
  @start_grace_ms 5_000

  @doc "Starts an instance and waits until its engine is up."
  @spec start_link(map) :: {:ok, pid} | {:error, Error.t() | term}
  def start_link(options) do
    with :ok <- check(options.transport),
         {:ok, executable} <- Python.find(options.python, options.python_path),
         {:ok, pid} <- Supervisor.start_link(__MODULE__, settings(options, executable), name: options.name) do
      case await(options, pid) do
        :ok -> {:ok, pid}
        {:error, _error} = failed -> stop(pid, failed)
      end
    end
  end

  @impl Supervisor
  def init(settings) do
    name = settings.name

    children = [
      {Table, name},
      {Janitor, name},
      {Task.Supervisor, name: Instance.process_name(name, :tasks)},
      {DynamicSupervisor, name: Instance.process_name(name, :sessions)},
      {Registry, keys: :unique, name: Instance.process_name(name, :registry)},
      {Engine, settings},
      {LogRelay, name}
    ]

    Supervisor.init(children, strategy: :rest_for_one)
  end

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
      start_timeout: options.start_timeout,
      hello: hello(options),
      hang_timeout: options.hang_timeout
    }
  end

  defp hello(%{backend: nil}), do: %{}
  defp hello(%{backend: backend}), do: %{"backend" => backend}

  defp await(options, supervisor) do
    wait = fn -> await_engine(options.name, supervisor) end

    case Aside.run(wait, options.start_timeout + @start_grace_ms) do
      {:ok, result} -> result
      {:exit, reason} -> ended(reason)
      nil -> {:error, Error.new(:engine_down, "the engine was not ready within #{options.start_timeout} ms")}
    end
  end

  defp await_engine(name, supervisor) do
    monitor = Process.monitor(supervisor)
    with {:ok, instance} <- Instance.fetch(name), do: Engine.await(instance)

    receive do
      {:engine_up, _epoch} -> :ok
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
