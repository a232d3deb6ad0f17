defmodule Graphport.Instance.Reporter do
  # Reports to the app's `:telemetry`: the ends of demands, engines, nodes, and gauges. Whoever takes a demand's row or owns
  # an engine sends a message here and goes on; handlers are other people's code and run in a process beside this one
  # (`Foreign`), in order. When they are slower than events come, what begins then is not reported at all, so that what was
  # reported as begun is reported as ended (`Spans`).
  #
  # Spans that nobody can report as ended, because somebody was killed between two steps, are found by a sweep.
  # Stands before `Core` under the instance's supervisor: it is there before the first engine and after the last demand.
  @moduledoc false
  use GenServer, shutdown: 5_000

  require Logger

  alias Graphport.{Error, Instance}
  alias Graphport.Instance.{Demands, Foreign, Gauges, Spans}
  alias Graphport.Port.Writer

  @stall_ms 5_000
  @batch 500
  @sweep_ms 10_000
  @drain_ms 4_000

  @type settings :: %{name: atom, telemetry: Instance.telemetry(), telemetry_interval: pos_integer}

  @spec start_link(settings) :: GenServer.on_start()
  def start_link(settings), do: GenServer.start_link(__MODULE__, settings, name: settings.telemetry.reporter)

  @impl GenServer
  def init(%{name: name, telemetry: telemetry, telemetry_interval: interval}) do
    Process.flag(:trap_exit, true)
    Process.send_after(self(), :look, interval)
    Process.send_after(self(), :sweep, @sweep_ms)

    # queue: events for handlers; gauges: whether some are among them or being handled; nodes: {demand, node} => started;
    # of_demand: demand => its nodes that have begun; table: whose end is the end of all demands; owners: monitor => engine;
    # suspects: demands whose end nobody may report.
    state = %{
      name: name,
      telemetry: telemetry,
      interval: interval,
      foreign: Foreign.new(&handle_event/1, @stall_ms),
      queue: :queue.new(),
      queued: 0,
      given: 0,
      gauges?: false,
      of_demand: %{},
      table: nil,
      owners: %{},
      suspects: MapSet.new()
    }

    # Left by one that was killed.
    engines = :ets.match_object(telemetry.spans, {{:engine, :_}, :_, :_, :_})

    {:ok,
     Enum.reduce(engines, state, fn {{:engine, index}, owner, _, _}, state -> watch(state, index, owner) end)}
  end

  @impl GenServer
  def handle_info(message, state) do
    handle(message, state)
  rescue
    error in ArgumentError ->
      if gone?(state), do: {:stop, :shutdown, state}, else: reraise(error, __STACKTRACE__)
  end

  defp handle({:demand_ended, id, at, outcome}, state),
    do: {:noreply, state |> end_demand(id, at, outcome) |> give()}

  defp handle({:node_event, id, node, event, at}, state),
    do: {:noreply, event |> node_span(id, node, at, state) |> give()}

  defp handle({:engine, index, owner, at, change}, state),
    do: {:noreply, change |> engine_span(index, owner, at, state) |> give()}

  defp handle(:look, state) do
    Process.send_after(self(), :look, state.interval)

    if state.gauges?,
      do: {:noreply, state},
      else: {:noreply, give(enqueue(%{state | gauges?: true}, {:gauges, state.name}))}
  end

  defp handle(:sweep, state) do
    Process.send_after(self(), :sweep, @sweep_ms)
    {:noreply, state |> sweep() |> give()}
  end

  # With the table the rows of all demands are gone, and nobody will take them.
  defp handle({:DOWN, table, :process, _pid, _reason}, %{table: {table, _}} = state) do
    error = Error.new(:engine_down, "the processes of the Graphport instance were restarted")
    {:noreply, %{state | table: nil} |> end_all(:placed, error) |> give()}
  end

  defp handle({:DOWN, monitor, :process, owner, reason}, state) when is_map_key(state.owners, monitor) do
    {index, owners} = Map.pop!(state.owners, monitor)
    error = Error.new(:engine_down, "the owner of the engine ended: #{Exception.format_exit(reason)}")
    now = System.monotonic_time()
    {:noreply, %{state | owners: owners} |> end_engine(index, owner, now, {:failed, error, 0}) |> give()}
  end

  defp handle(message, state), do: {:noreply, handled(Foreign.handle(state.foreign, message), state)}

  # All others have ended.
  @impl GenServer
  def terminate(_reason, state) do
    error = Error.new(:shutting_down, "the Graphport instance #{inspect(state.name)} has stopped")
    state |> collect() |> end_all(:all, error) |> give() |> drain(Writer.deadline(@drain_ms))
  rescue
    error in ArgumentError -> unless gone?(state), do: reraise(error, __STACKTRACE__)
  end

  # The supervisor was killed, and the table of spans is gone with it.
  defp gone?(state), do: :ets.info(state.telemetry.spans) == :undefined

  defp collect(state) do
    receive do
      {:EXIT, _pid, _reason} ->
        collect(state)

      message ->
        {:noreply, state} = handle(message, state)
        collect(state)
    after
      0 -> state
    end
  end

  defp drain(state, deadline) do
    unless Foreign.idle?(state.foreign) do
      receive do
        message when elem(message, 0) in [:DOWN, :foreign_stalled?] ->
          {:noreply, state} = handle(message, state)
          drain(state, deadline)
      after
        Writer.left_ms(deadline) -> Foreign.stop(state.foreign)
      end
    end
  end

  # -- demands -----------------------------------------------------------------------------------------------------

  defp end_demand(state, id, at, outcome) do
    case :ets.take(state.telemetry.spans, id) do
      [span] -> span |> demand_event(at, outcome, state) |> enqueue_to(end_nodes(state, span, at, outcome))
      [] -> state
    end
  end

  defp demand_event({id, _caller, session, node, started, epoch}, at, outcome, state) do
    metadata = state.name |> Spans.metadata(session, node, id) |> Map.put(:engine, engine(epoch))
    ended([:graphport, :demand], started, at, metadata, outcome)
  end

  defp engine(nil), do: nil
  defp engine(epoch), do: Instance.engine_of(epoch)

  defp ended(prefix, started, at, metadata, %Error{} = error) do
    what = %{kind: :error, reason: error, stacktrace: [], code: error.code}
    {prefix ++ [:exception], %{duration: at - started, monotonic_time: at}, Map.merge(metadata, what)}
  end

  defp ended(prefix, started, at, metadata, status),
    do: {prefix ++ [:stop], %{duration: at - started, monotonic_time: at}, Map.put(metadata, :status, status)}

  defp end_all(state, which, error) do
    now = System.monotonic_time()

    :ets.foldl(
      fn
        {{:engine, _index}, _, _, _}, state -> state
        {_id, _caller, _session, _node, _started, nil}, state when which == :placed -> state
        span, state -> end_demand(state, elem(span, 0), now, error)
      end,
      state,
      state.telemetry.spans
    )
  end

  # A demand without a row has ended, or its caller is about to insert one. Who is a suspect twice has ended.
  defp sweep(state) do
    case Instance.fetch(state.name) do
      {:ok, instance} -> sweep(state, instance)
      {:error, _restarting} -> state
    end
  rescue
    # The tables are gone: their owner's end is reported to this process.
    ArgumentError -> state
  end

  defp sweep(state, instance) do
    lost =
      for {id, caller, _session, _node, _started, epoch} <- :ets.tab2list(state.telemetry.spans),
          not Demands.open?(instance, id),
          epoch != nil or not Process.alive?(caller),
          do: id

    error = Error.new(:cancelled, "somebody was killed before the end of this demand was reported")
    {ended, suspects} = Enum.split_with(lost, &MapSet.member?(state.suspects, &1))
    now = System.monotonic_time()
    state = Enum.reduce(ended, state, &end_demand(&2, &1, now, error))
    %{state | suspects: MapSet.new(suspects)}
  end

  # -- nodes -------------------------------------------------------------------------------------------------------

  defp node_span(%{"event" => "started"}, id, node, at, state) do
    cond do
      not :ets.member(state.telemetry.spans, id) ->
        state

      Spans.behind?(state.telemetry) ->
        Spans.drop(state.telemetry)
        state

      true ->
        state |> note_node(id, node, at) |> enqueue(node_started(state, id, node, at))
    end
  end

  defp node_span(%{"event" => kind}, id, node, at, state) when kind in ["cached", "skipped"] do
    state = node_span(%{"event" => "started"}, id, node, at, state)
    end_node(state, id, node, at, if(kind == "cached", do: :cached, else: :skipped), at)
  end

  defp node_span(%{"event" => "completed", "us" => us}, id, node, at, state) when is_integer(us),
    do: end_node(state, id, node, at, :completed, at - System.convert_time_unit(us, :microsecond, :native))

  defp node_span(%{"event" => "completed"}, id, node, at, state),
    do: end_node(state, id, node, at, :completed, nil)

  defp node_span(%{"event" => "failed"} = event, id, node, at, state) do
    error = Error.from_wire(%{"code" => event["code"], "message" => "the node failed", "node_id" => node})
    end_node(state, id, node, at, error, nil)
  end

  defp note_node(state, id, node, at) do
    nodes = state.of_demand |> Map.get(id, %{}) |> Map.put(node, at)
    put_in(state.of_demand[id], nodes)
  end

  defp node_started(state, id, node, at) do
    measurements = %{system_time: System.system_time() + at - System.monotonic_time(), monotonic_time: at}
    {[:graphport, :node, :start], measurements, node_metadata(state, id, node)}
  end

  defp node_metadata(state, id, node),
    do: %{instance: state.name, demand: id, node: node, telemetry_span_context: {id, node}}

  # `began` is what the engine says, or nil: then it is the time at which this side heard of it.
  defp end_node(state, id, node, at, outcome, began) do
    case state.of_demand do
      %{^id => %{^node => started} = nodes} ->
        state = put_in(state.of_demand[id], Map.delete(nodes, node))
        enqueue(state, node_ended(state, id, node, began || started, at, outcome))

      # Its start was not reported.
      _unknown ->
        state
    end
  end

  defp node_ended(state, id, node, started, at, outcome),
    do: ended([:graphport, :node], started, at, node_metadata(state, id, node), outcome)

  # What was cancelled or broke off with the demand; the one that failed has said so itself.
  defp end_nodes(state, span, at, outcome) do
    id = elem(span, 0)

    error =
      if is_atom(outcome), do: Error.new(:cancelled, "the demand was done without this node"), else: outcome

    {nodes, of_demand} = Map.pop(state.of_demand, id, %{})

    Enum.reduce(nodes, %{state | of_demand: of_demand}, fn {node, started}, state ->
      enqueue(state, node_ended(state, id, node, started, at, error))
    end)
  end

  # -- engines -----------------------------------------------------------------------------------------------------

  defp engine_span({:started, os_pid}, index, owner, at, state) do
    unknown = Error.new(:engine_down, "how this engine ended is not known")

    state =
      state |> end_engine(index, owner, at, {:failed, unknown, 0}) |> watch(index, owner) |> watch_table()

    :ets.insert(state.telemetry.spans, {{:engine, index}, owner, os_pid, at})
    measurements = %{system_time: System.system_time(), monotonic_time: at}
    enqueue(state, {[:graphport, :engine, :start], measurements, engine_metadata(state, index, os_pid)})
  end

  defp engine_span(:ready, index, _owner, at, state) do
    case :ets.lookup(state.telemetry.spans, {:engine, index}) do
      [{_key, _owner, os_pid, started}] ->
        measurements = %{duration: at - started, monotonic_time: at}
        enqueue(state, {[:graphport, :engine, :ready], measurements, engine_metadata(state, index, os_pid)})

      [] ->
        state
    end
  end

  # Not even a process came of it.
  defp engine_span({:failed, _error, _backoff_ms} = change, index, owner, at, state) do
    if :ets.member(state.telemetry.spans, {:engine, index}),
      do: end_engine(state, index, owner, at, change),
      else: {:started, nil} |> engine_span(index, owner, at, state) |> end_engine(index, owner, at, change)
  end

  defp engine_span(:stopped, index, owner, at, state), do: end_engine(state, index, owner, at, :stopped)

  defp end_engine(state, index, _owner, at, change) do
    case :ets.take(state.telemetry.spans, {:engine, index}) do
      [{_key, _owner, os_pid, started}] ->
        metadata = engine_metadata(state, index, os_pid)
        enqueue(unwatch(state, index), engine_ended(change, started, at, metadata))

      [] ->
        state
    end
  end

  defp engine_ended(:stopped, started, at, metadata),
    do: ended([:graphport, :engine], started, at, metadata, :stopped)

  defp engine_ended({:failed, error, backoff_ms}, started, at, metadata) do
    {event, measurements, metadata} = ended([:graphport, :engine], started, at, metadata, error)
    {event, Map.put(measurements, :backoff_ms, backoff_ms), metadata}
  end

  defp engine_metadata(state, index, os_pid),
    do: %{instance: state.name, engine: index, os_pid: os_pid, telemetry_span_context: {:engine, index}}

  defp watch(state, index, owner) do
    if index in Map.values(state.owners),
      do: state,
      else: put_in(state.owners[Process.monitor(owner)], index)
  end

  defp unwatch(state, index) do
    {ended, owners} = Enum.split_with(state.owners, fn {_monitor, of} -> of == index end)
    Enum.each(ended, fn {monitor, _index} -> Process.demonitor(monitor, [:flush]) end)
    %{state | owners: Map.new(owners)}
  end

  defp watch_table(state) do
    case {Instance.fetch(state.name), state.table} do
      {{:ok, %{table: table}}, {_monitor, table}} -> state
      {{:ok, %{table: table}}, _other} -> %{state | table: {Process.monitor(table), table}}
      {{:error, _gone}, _table} -> state
    end
  end

  # -- handlers ----------------------------------------------------------------------------------------------------

  defp enqueue_to(event, state), do: enqueue(state, event)

  defp enqueue(state, event),
    do: publish(%{state | queue: :queue.in(event, state.queue), queued: state.queued + 1})

  defp publish(state) do
    Spans.waiting(state.telemetry, state.queued + state.given)
    state
  end

  defp give(%{queued: 0} = state), do: state

  defp give(state) do
    if Foreign.idle?(state.foreign) do
      count = min(state.queued, @batch)
      {batch, queue} = :queue.split(count, state.queue)
      foreign = Foreign.give(state.foreign, :queue.to_list(batch))
      publish(%{state | queue: queue, queued: state.queued - count, given: count, foreign: foreign})
    else
      state
    end
  end

  defp handled(:unknown, state), do: state
  defp handled({:ok, foreign}, state), do: state |> relieved(foreign) |> give()

  defp handled({:ended, reason, foreign}, state) do
    Logger.error("a telemetry handler did not return: #{inspect(reason)}", graphport: state.name)
    state |> relieved(foreign) |> give()
  end

  defp relieved(state, foreign) do
    if Foreign.idle?(foreign) do
      gauges? = state.gauges? and :queue.any(&match?({:gauges, _name}, &1), state.queue)
      publish(%{state | foreign: foreign, given: 0, gauges?: gauges?})
    else
      %{state | foreign: foreign}
    end
  end

  # Runs in the process beside.
  defp handle_event({:gauges, name}) do
    for {event, measurements, metadata} <- Gauges.read(name), do: Spans.execute(event, measurements, metadata)
  end

  defp handle_event({event, measurements, metadata}), do: Spans.execute(event, measurements, metadata)
end
