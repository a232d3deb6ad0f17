defmodule Graphport.Instance.Core do
  # The processes of an instance that need one another, in that order (`:rest_for_one`). The engine owners come late:
  # their end takes no session with it, and at shutdown they go while those they tell are still there. The registry of
  # names stands before them for the same reason, since a named session is linked to it, and after the sessions, so
  # that its own end takes no unnamed one along. The log relay is last: losing it costs log lines and nothing else. Before it who looks after mailboxes, who finds all
  # again.
  @moduledoc false
  use Supervisor

  alias Graphport.{Host, Instance}
  alias Graphport.Instance.{Engine, Janitor, LogRelay, Mailboxes, Predecessor, Table}

  # So often may one owner end within five seconds before the instance starts anew.
  @owner_restarts 3

  @spec start_link(map) :: Supervisor.on_start()
  def start_link(settings) do
    Predecessor.await_instance(settings)
    Supervisor.start_link(__MODULE__, settings)
  end

  @impl Supervisor
  def init(settings) do
    name = settings.name

    before_owners = [
      {Table, settings},
      {Janitor, name},
      {Task.Supervisor, name: Instance.process_name(name, :tasks)},
      {DynamicSupervisor, name: Instance.process_name(name, :broadcasters)},
      {DynamicSupervisor, name: Instance.process_name(name, :sessions)},
      %{
        id: :registry,
        type: :supervisor,
        start: {__MODULE__, :start_registry, [[keys: :unique, name: Instance.process_name(name, :registry)]]}
      }
    ]

    children = before_owners ++ hosts(settings) ++ [owners(settings), {Mailboxes, name}, {LogRelay, name}]
    Supervisor.init(children, strategy: :rest_for_one)
  end

  # Who runs nodes of the app, before the engines that ask for them, and whose end is theirs.
  defp hosts(%{host_nodes: nodes}) when nodes == %{}, do: []

  defp hosts(settings) do
    tasks = {Task.Supervisor, name: Instance.process_name(settings.name, :host_tasks)}
    [{Host.Dispatcher, settings}, Supervisor.child_spec(tasks, id: :host_tasks)]
  end

  # One engine's owner has nothing to do with another's.
  defp owners(settings) do
    owners =
      for index <- 0..(settings.engines - 1) do
        Supervisor.child_spec({Engine, Map.put(settings, :index, index)}, id: index)
      end

    options = [strategy: :one_for_one, max_restarts: @owner_restarts * settings.engines]
    %{id: :owners, type: :supervisor, start: {__MODULE__, :start_owners, [owners, options, settings]}}
  end

  # The names of its own processes are its own affair.
  @doc false
  @spec start_registry(keyword) :: Supervisor.on_start()
  def start_registry(options) do
    case Registry.start_link(options) do
      {:error, {:shutdown, {:failed_to_start_child, _child, {:already_started, pid}}}} ->
        Predecessor.await([pid])
        start_registry(options)

      other ->
        other
    end
  end

  @doc false
  @spec start_owners([Supervisor.child_spec()], keyword, map) :: Supervisor.on_start()
  def start_owners(owners, options, settings) do
    Predecessor.await_owners(settings)
    Supervisor.start_link(owners, options)
  end
end
