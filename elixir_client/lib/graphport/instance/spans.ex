defmodule Graphport.Instance.Spans do
  # What has been begun and must be reported as ended: the table of open spans. The instance's supervisor owns it, so it
  # outlives everybody who writes in it. **Whoever takes a span reports its end**, and only the `Reporter` does, so there is
  # one end for each start. Plain functions over ETS and `:telemetry`; `begin_demand/4` runs in the caller.
  #
  # Rows: {demand, caller, session, node, started, epoch or nil before it has one}
  #       {{:engine, index}, owner, os_pid, started}
  @moduledoc false

  alias Graphport.{Error, Instance, Session}
  alias Graphport.Wire.Messages

  # Of demands that begin while so many events wait for slow handlers, nothing is reported.
  @most_waiting 10_000
  @waiting 1
  @dropped 2
  @epoch 6
  @demand_events for last <- [:start, :stop, :exception], do: [:graphport, :demand, last]

  @doc "A table and counters, in the process that is to own them."
  @spec create(atom, boolean) :: Instance.telemetry()
  def create(name, nodes?) do
    %{
      reporter: Instance.process_name(name, :reporter),
      spans: :ets.new(:spans, [:set, :public, write_concurrency: true]),
      counters: :atomics.new(2, signed: false),
      nodes?: nodes?,
      asks?: Code.ensure_loaded?(handler_table()) and function_exported?(handler_table(), :list_for_event, 1)
    }
  end

  @doc "Begins a demand's span and reports its start. nil if it is not to be reported, or nobody listens."
  @spec begin_demand(Instance.t(), Session.t(), String.t() | [String.t()], pos_integer) ::
          Instance.telemetry() | nil
  def begin_demand(%{telemetry: telemetry} = instance, session, node, id) do
    cond do
      not heard?(telemetry) ->
        nil

      behind?(telemetry) ->
        :atomics.add(telemetry.counters, @dropped, 1)
        nil

      true ->
        now = System.monotonic_time()
        :ets.insert(telemetry.spans, {id, self(), session.id, node, now, nil})
        measurements = %{system_time: System.system_time(), monotonic_time: now}
        execute([:graphport, :demand, :start], measurements, metadata(instance.name, session.id, node, id))
        telemetry
    end
  rescue
    # The table's owner, the instance's supervisor, was killed: others find that out too.
    ArgumentError -> nil
  end

  # A span that nobody hears costs a cached demand as much as all the rest of it. Those of nodes hang on their demand's. What
  # a handler was configured with is copied here, as in each `execute/3`.
  defp heard?(%{nodes?: nodes?, asks?: asks?}) when nodes? or not asks?, do: true
  defp heard?(_telemetry), do: Enum.any?(@demand_events, &(handler_table().list_for_event(&1) != []))

  @doc "The demand is about to go to the engine of that epoch."
  @spec place(Instance.telemetry() | nil, pos_integer, Instance.epoch()) :: term
  def place(nil, _id, _epoch), do: :ok

  def place(telemetry, id, epoch) do
    :ets.update_element(telemetry.spans, id, {@epoch, epoch})
  rescue
    # See `begin_demand/4`.
    ArgumentError -> false
  end

  @doc "Metadata that all events of a demand have."
  @spec metadata(atom, pos_integer, String.t() | [String.t()], pos_integer) :: map
  def metadata(name, session, node, id),
    do: %{instance: name, session: session, node: node, demand: id, telemetry_span_context: id}

  @doc "Whether handlers are so far behind that no more should be begun."
  @spec behind?(Instance.telemetry()) :: boolean
  def behind?(telemetry), do: :atomics.get(telemetry.counters, @waiting) >= @most_waiting

  @doc "Takes note of how many events wait for handlers."
  @spec waiting(Instance.telemetry(), non_neg_integer) :: :ok
  def waiting(telemetry, count), do: :atomics.put(telemetry.counters, @waiting, count)

  @doc "Counts spans that are not reported."
  @spec drop(Instance.telemetry()) :: :ok
  def drop(telemetry), do: :atomics.add(telemetry.counters, @dropped, 1)

  @doc "How many events wait, and how many spans were not reported."
  @spec counts(Instance.telemetry()) :: {non_neg_integer, non_neg_integer}
  def counts(telemetry),
    do: {:atomics.get(telemetry.counters, @waiting), :atomics.get(telemetry.counters, @dropped)}

  # -- for those who have something to report ----------------------------------------------------------------------

  @typedoc "How a demand or a node ended."
  @type outcome :: Messages.status() | Error.t()

  @doc "Tells the reporter that a demand ended. By whoever took its row."
  @spec demand_ended(atom, pos_integer, outcome) :: term
  def demand_ended(reporter, id, outcome),
    do: tell(reporter, {:demand_ended, id, System.monotonic_time(), outcome})

  @spec node_event(atom, pos_integer, String.t(), map) :: term
  def node_event(reporter, id, node, event),
    do: tell(reporter, {:node_event, id, node, event, System.monotonic_time()})

  @doc "By an engine's owner: its OS process was started; is ready; ended; was stopped with the instance."
  @spec engine(Instance.t(), non_neg_integer, change) :: term
        when change: {:started, pos_integer | nil} | :ready | {:failed, Error.t(), pos_integer} | :stopped
  def engine(%{telemetry: nil}, _index, _change), do: :ok

  def engine(%{telemetry: telemetry}, index, change),
    do: tell(telemetry.reporter, {:engine, index, self(), System.monotonic_time(), change})

  defp tell(reporter, message) do
    send(reporter, message)
  rescue
    # It is being started anew; the sweep finds what it is not told now.
    ArgumentError -> :gone
  end

  # -- the library -------------------------------------------------------------------------------------------------

  @doc "Runs the handlers of an event, in the calling process."
  @spec execute([atom], map, map) :: term
  def execute(event, measurements, metadata), do: library().execute(event, measurements, metadata)

  @doc "Whether the app has telemetry."
  @spec available?() :: boolean
  def available?, do: Code.ensure_loaded?(library()) and function_exported?(library(), :execute, 3)

  # Known at run time only: it is no dependency, and no reason for a warning either way.
  defp library, do: :telemetry

  # What `:telemetry.execute/3` itself asks, in all releases from 0.4.3 to 1.4: `list_handlers/1` reads the whole table.
  defp handler_table, do: :telemetry_handler_table
end
