defmodule Graphport.Instance.Table do
  # Owns the instance's ETS tables, and does nothing else, so that nothing can take them away while others work.
  # First child of the instance's supervisor: its end is the end of all. Demands that are still open then, because the
  # supervisor was killed and the engine's owner came too late, get their last message here.
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

  @impl GenServer
  def terminate(_reason, instance) do
    Instance.forget(instance.name)
    text = "the Graphport instance #{inspect(instance.name)} has stopped"
    Demands.fail_all(instance, :all, Error.new(:shutting_down, text))
  end
end
