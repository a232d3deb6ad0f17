defmodule Graphport.Instance.Drain do
  # What happens first when an instance is stopped: nothing new is taken in, and what is under way may end. Does nothing
  # before that. Stands beside `Core` and after it, so that its supervisor ends it first, and only then.
  @moduledoc false
  use GenServer

  alias Graphport.{Error, Instance}
  alias Graphport.Instance.{Demands, Pool}
  alias Graphport.Port.Writer

  @look_again_ms 5
  # For looking once more after the time-out.
  @grace_ms 1_000

  @spec child_spec(%{name: atom, drain_timeout: timeout, parent: pid}) :: Supervisor.child_spec()
  def child_spec(%{drain_timeout: timeout} = settings) do
    shutdown = if timeout == :infinity, do: :infinity, else: timeout + @grace_ms
    %{id: __MODULE__, start: {__MODULE__, :start_link, [settings]}, shutdown: shutdown}
  end

  @spec start_link(map) :: GenServer.on_start()
  def start_link(settings), do: GenServer.start_link(__MODULE__, settings)

  @impl GenServer
  def init(settings) do
    Process.flag(:trap_exit, true)
    {:ok, settings}
  end

  @impl GenServer
  def handle_info(_stray, settings), do: {:noreply, settings}

  # Not if its supervisor was killed: another instance may be starting by now.
  @impl GenServer
  def terminate(:shutdown, settings) do
    with {:ok, instance} <- Instance.fetch(settings.name) do
      Pool.close(
        instance,
        Error.new(:shutting_down, "the Graphport instance #{inspect(settings.name)} is stopping")
      )

      await_end(instance, settings.parent, Writer.deadline(settings.drain_timeout))
    end
  rescue
    # Its tables are gone, and there is nothing left to wait for.
    ArgumentError -> :ok
  end

  def terminate(_killed, _settings), do: :ok

  # A parent that is killed meanwhile is started anew, and with it this instance: it must not wait for its name.
  defp await_end(instance, parent, deadline) do
    if Demands.count(instance) > 0 and Writer.left_ms(deadline) != 0 and Process.alive?(parent) do
      receive after: (@look_again_ms -> :ok)
      await_end(instance, parent, deadline)
    end
  end
end
