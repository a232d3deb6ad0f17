defmodule Graphport.Instance.Predecessor do
  # Waits for the end of what is left of processes whose supervisor was killed. They see that and end by themselves, but
  # the janitor sees engines off first, and an owner lets answers arrive; until then their names are taken: their successors
  # would fail to start, and again, until the supervisor above gives up. Called before the successors are started, in the
  # process that starts them.
  @moduledoc false

  alias Graphport.Instance
  alias Graphport.Port.Writer

  # More than the graces of owner and janitor together. Whoever is still there then is killed.
  @patience_ms 4_000
  @roles [:janitor, :tasks, :broadcasters, :sessions, :registry, :mailboxes, :log_relay]

  @doc "Waits for those of a whole instance."
  @spec await_instance(%{name: atom, engines: pos_integer}) :: :ok
  def await_instance(%{name: name} = settings) do
    case Instance.fetch(name) do
      {:ok, instance} -> await([instance.table | registered(roles(name))])
      {:error, _none} -> await(registered(roles(name)))
    end

    await_owners(settings)
  end

  @doc "Waits for an instance's reporter."
  @spec await_reporter(atom) :: :ok
  def await_reporter(name), do: [Instance.process_name(name, :reporter)] |> registered() |> await()

  @doc "Whether the process that a supervisor was started by is dead, so that it is about to end."
  @spec orphaned?(pid) :: boolean
  def orphaned?(supervisor) do
    with {:dictionary, dictionary} <- Process.info(supervisor, :dictionary),
         [parent | _] <- dictionary[:"$ancestors"] do
      pid = if is_atom(parent), do: Process.whereis(parent), else: parent
      pid == nil or not Process.alive?(pid)
    else
      # It has ended, or is none of ours.
      other -> other == nil
    end
  end

  @doc "Waits for the owners of engines."
  @spec await_owners(%{name: atom, engines: pos_integer}) :: :ok
  def await_owners(%{name: name, engines: engines}),
    do: 0..(engines - 1) |> Enum.map(&Instance.owner(name, &1)) |> registered() |> await()

  @doc "Waits for these."
  @spec await([pid]) :: :ok
  def await(pids),
    do: pids |> Map.new(&{Process.monitor(&1), &1}) |> await_each(Writer.deadline(@patience_ms))

  defp roles(name), do: Enum.map(@roles, &Instance.process_name(name, &1))
  defp registered(names), do: for(name <- names, pid = Process.whereis(name), do: pid)

  defp await_each(monitors, _deadline) when monitors == %{}, do: :ok

  defp await_each(monitors, deadline) do
    receive do
      {:DOWN, monitor, :process, _pid, _reason} when is_map_key(monitors, monitor) ->
        monitors |> Map.delete(monitor) |> await_each(deadline)
    after
      Writer.left_ms(deadline) ->
        Enum.each(monitors, fn {_monitor, pid} -> Process.exit(pid, :kill) end)
        await_each(monitors, :infinity)
    end
  end
end
