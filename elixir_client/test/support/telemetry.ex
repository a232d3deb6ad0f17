# Stands in for the library where it is not installed: the same functions, and like it a handler that fails is detached.
unless Code.ensure_loaded?(:telemetry) do
  defmodule :telemetry do
    @moduledoc false

    require Logger

    @table __MODULE__

    # Called by `test_helper.exs` in a process that outlives all tests.
    def start_stand_in, do: :ets.new(@table, [:named_table, :public, :bag, read_concurrency: true])

    def handlers_of(event), do: :ets.lookup(@table, event)

    def attach(id, event, function, config), do: attach_many(id, [event], function, config)

    def attach_many(id, events, function, config) when is_function(function, 4) do
      if :ets.match(@table, {:_, id, :_, :_}) == [] do
        for [_ | _] = event <- events, do: :ets.insert(@table, {event, id, function, config})
        :ok
      else
        {:error, :already_exists}
      end
    end

    def detach(id) do
      case :ets.select_delete(@table, [{{:_, id, :_, :_}, [], [true]}]) do
        0 -> {:error, :not_found}
        _count -> :ok
      end
    end

    def list_handlers(prefix) do
      for {event, id, function, config} <- :ets.tab2list(@table),
          List.starts_with?(event, prefix),
          do: %{id: id, event_name: event, function: function, config: config}
    end

    def execute([_ | _] = event, measurements, metadata) when is_map(measurements) and is_map(metadata) do
      for {_event, id, function, config} <- :ets.lookup(@table, event) do
        try do
          function.(event, measurements, metadata, config)
        catch
          kind, reason ->
            detach(id)
            failure = %{event_name: event, handler_id: id, handler_config: config, kind: kind, reason: reason}
            execute([:telemetry, :handler, :failure], %{}, Map.put(failure, :stacktrace, __STACKTRACE__))
            Logger.error("Handler #{inspect(id)} has failed and has been detached: #{inspect(reason)}")
        end
      end

      :ok
    end
  end
end

unless Code.ensure_loaded?(:telemetry_handler_table) do
  defmodule :telemetry_handler_table do
    @moduledoc false
    def list_for_event(event), do: :telemetry.handlers_of(event)
  end
end

defmodule Graphport.TelemetryEvents do
  # Sends a test the telemetry of its own instance: `{event, measurements, metadata}`.
  @moduledoc false

  @doc "From now on, until the test ends."
  def attach(name, events) do
    :ok = :telemetry.attach_many({__MODULE__, name}, events, &__MODULE__.handle/4, {name, self()})
    ExUnit.Callbacks.on_exit(fn -> :telemetry.detach({__MODULE__, name}) end)
  end

  @doc false
  def handle(event, measurements, %{instance: name} = metadata, {name, test}),
    do: send(test, {event, measurements, metadata})

  def handle(_event, _measurements, _metadata, _another_test), do: :ok
end
