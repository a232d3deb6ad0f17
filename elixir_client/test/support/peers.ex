defmodule Graphport.Peers do
  # Other BEAM nodes, for tests: real ones, on this machine, with this project's code. What runs on them is a function of
  # this module, since a test's own functions are not loaded there.
  #
  # They are told what to do by their standard input, not by Erlang distribution, so that a test may do with that what it
  # likes. Names are `name@127.0.0.1`: a container may have no host name that leads anywhere.
  @moduledoc false

  @host "127.0.0.1"

  @doc """
  Starts a node, of that name before the `@`, which ends with the test, or with this BEAM. Returns its control process,
  name and OS process id. It is hidden, so that what one test does to its node is nothing to those of other tests.
  """
  def start(name \\ nil) do
    paths = Enum.flat_map(:code.get_path(), &['-pa', &1])

    options = %{
      name: name || :peer.random_name(),
      host: to_charlist(@host),
      longnames: true,
      connection: :standard_io,
      args: paths ++ ['-hidden', '-setcookie', Atom.to_charlist(Node.get_cookie())],
      wait_boot: 60_000
    }

    {:ok, control, node} = :peer.start(options)
    {:ok, _applications} = call(control, :application, :ensure_all_started, [:logger])
    {:ok, _applications} = call(control, :application, :ensure_all_started, [:elixir])
    call(control, __MODULE__, :start_telemetry, [])
    os_pid = control |> call(System, :pid, []) |> String.to_integer()
    ExUnit.Callbacks.on_exit(fn -> kill(os_pid) end)
    %{control: control, node: node, os_pid: os_pid}
  end

  # Also one that is stopped by a signal.
  defp kill(os_pid), do: System.cmd("/bin/sh", ["-c", "kill -KILL $0 2>/dev/null", Integer.to_string(os_pid)])

  @doc false
  def start_telemetry do
    if Code.ensure_loaded?(:telemetry) and function_exported?(:telemetry, :start_stand_in, 0) do
      me = self()

      spawn(fn ->
        send(me, {:telemetry, :telemetry.start_stand_in()})
        receive do: (:never -> :ok)
      end)

      receive do: ({:telemetry, _table} -> :ok)
    else
      {:ok, _started} = Application.ensure_all_started(:telemetry)
    end
  end

  @doc "Calls a function there, through its standard input."
  def call(control, module, function, args) when is_pid(control),
    do: :peer.call(control, module, function, args, 60_000)

  def call(%{control: control}, module, function, args), do: call(control, module, function, args)

  @doc "Starts an instance there, which lives as long as the node."
  def start_instance(peer, options), do: call(peer, __MODULE__, :run_instance, [options])

  @doc false
  def run_instance(options) do
    me = self()

    spawn(fn ->
      send(me, {:instance, Graphport.start_link(options)})
      receive do: (:never -> :ok)
    end)

    receive do: ({:instance, {:ok, _pid}} -> :ok)
  end

  @doc "Starts a process there that calls a function of `Graphport` and tells `reply_to` what it returned, and what came."
  def act(peer, reply_to, function, args), do: call(peer, __MODULE__, :run_actor, [reply_to, function, args])

  @doc false
  def run_actor(reply_to, function, args) do
    spawn(fn ->
      send(reply_to, {:returned, self(), apply(Graphport, function, args)})
      pass_on(reply_to)
    end)
  end

  defp pass_on(reply_to) do
    receive do
      message -> send(reply_to, {:came, self(), message})
    end

    pass_on(reply_to)
  end

  @doc "Starts a process there that reads a stream, one chunk for each `:next` it gets, and says which."
  def read(peer, reply_to, session, node, options),
    do: call(peer, __MODULE__, :run_reader, [reply_to, session, node, options])

  @doc false
  def run_reader(reply_to, session, node, options) do
    spawn(fn ->
      session
      |> Graphport.stream(node, options)
      |> Enum.each(fn chunk ->
        send(reply_to, {:chunk, self(), chunk})
        receive do: (:next -> :ok)
      end)

      send(reply_to, {:end, self()})
    end)
  end

  @doc "Opens a session of an instance elsewhere, owned by a process there that lives on."
  def open(peer, instance, graph), do: call(peer, __MODULE__, :run_open, [instance, graph])

  @doc false
  def run_open(instance, graph), do: Graphport.open(instance, graph, owner: run_idle())

  @doc "The relays, or proxies, of a node that lead to another one."
  def leading(module, from, to), do: :erpc.call(from, __MODULE__, :run_leading, [module, to], 10_000)

  @doc false
  def run_leading(module, to) do
    for pid <- Process.list(),
        {:initial_call, {^module, :run, _arity}} <- [Process.info(pid, :initial_call)],
        {:links, links} <- [Process.info(pid, :links)],
        Enum.any?(links, &(node(&1) == to)),
        do: pid
  end

  @doc "How many messages wait for a process of any node."
  def queue(pid) do
    case :erpc.call(node(pid), Process, :info, [pid, :message_queue_len], 10_000) do
      {:message_queue_len, length} -> length
      nil -> 0
    end
  end

  @doc "Starts a process there that only receives."
  def idle(peer), do: call(peer, __MODULE__, :run_idle, [])

  @doc false
  def run_idle, do: spawn(fn -> receive do: (:never -> :ok) end)

  @doc "Makes this BEAM a node, if it is none."
  def distribute do
    if Node.alive?() do
      :ok
    else
      # Started by `erl`, but not by a BEAM that becomes a node later.
      {_output, 0} = System.cmd(epmd(), ["-daemon"])
      name = :"graphport-#{System.pid()}@#{@host}"

      case :net_kernel.start(name, %{name_domain: :longnames}) do
        {:ok, _pid} -> :ok
        {:error, {:already_started, _pid}} -> :ok
      end
    end
  end

  defp epmd do
    System.find_executable("epmd") ||
      [:code.root_dir(), "erts-*", "bin", "epmd"] |> Path.join() |> Path.wildcard() |> List.first()
  end
end
