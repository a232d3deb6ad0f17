defmodule Graphport.Instance.Gauges do
  # Reads how full and how busy an instance is, for telemetry. Runs beside the reporter: looking at the owners' mailboxes
  # and at `/proc` may take a moment.
  @moduledoc false

  alias Graphport.Instance
  alias Graphport.Instance.{Demands, Pool, Spans}
  alias Graphport.Port.{OsProcess, Pipe}
  alias Graphport.Wire.Limits

  require Limits

  @type event :: {[atom], map, map}

  @doc "The events of one look; none while the instance is starting anew."
  @spec read(atom) :: [event]
  def read(name) do
    case Instance.fetch(name) do
      {:ok, instance} -> [of_instance(instance) | Enum.map(Pool.facts(instance), &of_engine(instance, &1))]
      {:error, _gone} -> []
    end
  rescue
    # Its tables are gone.
    ArgumentError -> []
  catch
    :exit, _gone -> []
  end

  defp of_instance(instance) do
    {waiting, dropped} = Spans.counts(instance.telemetry)

    measurements = %{
      open_demands: Demands.count(instance),
      open_sessions: DynamicSupervisor.count_children(instance.sessions).active,
      dropped_lines: :atomics.get(instance.dropped_lines, 1),
      waiting_events: waiting,
      dropped_spans: dropped
    }

    {[:graphport, :instance, :state], measurements, %{instance: instance.name}}
  end

  defp of_engine(instance, facts) do
    measurements =
      facts
      |> Map.take([:open_demands, :sessions, :unread_frames, :unread_bytes, :restarts])
      |> Map.merge(%{
        credit_frames: max(Limits.window_frames() - facts.unread_frames, 0),
        credit_bytes: max(Limits.window_bytes() - facts.unread_bytes, 0),
        message_queue_len: message_queue_len(Enum.at(instance.owners, facts.index)),
        memory_bytes: OsProcess.memory_bytes(facts.os_pid)
      })
      |> Map.merge(moved(instance, facts.index))

    metadata = %{instance: instance.name, engine: facts.index, status: facts.status, os_pid: facts.os_pid}
    {[:graphport, :engine, :state], measurements, metadata}
  end

  defp message_queue_len(owner) do
    with pid when is_pid(pid) <- Process.whereis(owner),
         {:message_queue_len, length} <- Process.info(pid, :message_queue_len) do
      length
    else
      _gone -> 0
    end
  end

  # Of this life of the engine.
  defp moved(instance, index) do
    case :ets.lookup(instance.engines, index) do
      [{_index, :up, _epoch, port, _credit, _facts}] ->
        %{sent_bytes: Pipe.output(port) || 0, received_bytes: Pipe.input(port) || 0}

      _down ->
        %{sent_bytes: 0, received_bytes: 0}
    end
  end
end
