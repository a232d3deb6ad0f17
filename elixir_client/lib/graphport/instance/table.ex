defmodule Graphport.Instance.Table do
  # Owns the instance's ETS tables, and does nothing else, so that nothing can take them away while others work.
  # First child of the instance's core: its end is the end of all. Demands that are still open then, because the
  # supervisor was killed and the engine's owner came too late, get their last message here. If it is killed itself, the
  # janitor inherits the tables, so that those who end after it find what they have to finish.
  @moduledoc false
  use GenServer

  alias Graphport.{Error, Instance}
  alias Graphport.Instance.Demands

  @spec start_link(%{name: atom, engines: pos_integer}) :: GenServer.on_start()
  def start_link(settings), do: GenServer.start_link(__MODULE__, settings)

  @impl GenServer
  def init(settings) do
    Process.flag(:trap_exit, true)
    {:ok, Instance.create(settings)}
  end

  @doc "The calling process gets the tables when their owner ends, and keeps them for as long as it lives."
  @spec inherit(Instance.t()) :: term
  def inherit(instance), do: send(instance.table, {:heir, self()})

  @impl GenServer
  def handle_info({:heir, pid}, instance) do
    # Unless that process has ended meanwhile.
    if Process.alive?(pid), do: Enum.each(Instance.tables(instance), &:ets.setopts(&1, {:heir, pid, nil}))
    {:noreply, instance}
  end

  def handle_info(_stray, instance), do: {:noreply, instance}

  @impl GenServer
  def terminate(_reason, instance) do
    Instance.forget(instance)
    text = "the Graphport instance #{inspect(instance.name)} has stopped"
    Demands.fail_all(instance, :all, Error.new(:shutting_down, text))
  end
end
