defmodule Graphport.Instance.LogRelay do
  # Hands the engine's log lines to Logger, outside the engine owner: handlers are other people's code and may block.
  # When they are slower than the engine is talkative, lines are dropped and counted. The owner calls `log/2`.
  @moduledoc false
  use GenServer

  require Logger

  alias Graphport.Instance

  @max_waiting 1_000

  @type line :: {Logger.level(), String.t(), String.t(), map, pos_integer}

  @spec start_link(atom) :: GenServer.on_start()
  def start_link(name) do
    GenServer.start_link(__MODULE__, name, name: Instance.process_name(name, :log_relay))
  end

  @doc "Passes a line on, unless too many are waiting."
  @spec log(Instance.t(), line) :: :ok | :dropped
  def log(instance, line) do
    with pid when is_pid(pid) <- Process.whereis(instance.log_relay),
         {:message_queue_len, waiting} when waiting < @max_waiting <- Process.info(pid, :message_queue_len) do
      send(pid, line)
      :ok
    else
      _full_or_gone ->
        :atomics.add(instance.dropped_lines, 1, 1)
        :dropped
    end
  end

  @impl GenServer
  def init(name), do: {:ok, name}

  # `logger` and the keys of `meta` come from the wire and stay text: no atom is made of them.
  @impl GenServer
  def handle_info({level, logger, text, meta, os_pid}, name) do
    Logger.bare_log(level, text, graphport: name, logger: logger, os_pid: os_pid, meta: meta)
    report_dropped(name)
    {:noreply, name}
  end

  # A stray message must not take the sessions down.
  def handle_info(_stray, name), do: {:noreply, name}

  defp report_dropped(name) do
    with {:ok, instance} <- Instance.fetch(name),
         count when count > 0 <- :atomics.exchange(instance.dropped_lines, 1, 0) do
      Logger.warning("#{count} log lines of nodes were dropped: Logger was slower than they came",
        graphport: name
      )
    end
  end
end
