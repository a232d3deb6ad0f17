defmodule Graphport.Caller do
  # The caller's half of a demand. Runs wholly in the calling process, without a call to another one: look up the
  # session's route, insert the demand's row, let the janitor watch, take credit, write the port. In this order, so
  # that at every moment somebody is responsible for the row's one last message. `Graphport.DemandStream` starts,
  # grants and abandons its demands here.
  @moduledoc false

  alias Graphport.{Demand, Error, Instance, Session}
  alias Graphport.Instance.{Audience, Demands, Janitor, SessionServer, Spans}
  alias Graphport.Port.{Parts, Writer}
  alias Graphport.Wire.Messages

  # A demand without a deadline of its own waits so long for the engine to take it.
  @longest_wait_ms 5_000
  # How much longer than the deadline `demand/3` waits for the engine's own word on it.
  @answer_grace_ms 100
  @streamed %{"stream" => true}

  @type target :: String.t() | [String.t()]

  @spec demand_async(Session.t(), target, map) :: {:ok, Demand.t()} | {:error, Error.t()}
  def demand_async(session, node, options) do
    to = if options.to == :caller, do: self(), else: options.to

    with {:ok, instance} <- Instance.fetch(session.instance),
         {:ok, id} <- start(instance, session, node, options, {to, wrap(options.tag), to}) do
      {:ok, %Demand{ref: id, node: node, session: session}}
    end
  rescue
    error in ArgumentError -> stopped(session.instance, error, __STACKTRACE__)
  end

  @spec demand(Session.t(), target, map) :: {:ok, map} | {:error, Error.t()}
  def demand(session, node, options) do
    with {:ok, instance} <- Instance.fetch(session.instance) do
      # One reference is the alias that the answer comes by, and the monitor of what would take the row away.
      ref = :erlang.monitor(:process, instance.table, alias: :reply_demonitor)
      deadline = Writer.deadline(options.timeout)

      try do
        case start(instance, session, node, options, {ref, {:ref, ref}, self()}) do
          {:ok, id} -> await(instance, id, node, ref, deadline)
          {:error, _error} = failed -> failed
        end
      after
        # Whatever came too late to be read is dropped here, or with the alias.
        Process.demonitor(ref, [:flush])
      end
    end
  rescue
    error in ArgumentError -> stopped(session.instance, error, __STACKTRACE__)
  end

  @spec cancel(Demand.t()) :: :ok
  def cancel(%Demand{ref: id, session: session}) do
    with {:ok, instance} <- Instance.fetch(session.instance),
         {:ok, row} <- Demands.lookup(instance, id) do
      send_cancel(instance, id, elem(row, 7))
    end

    :ok
  rescue
    # The instance has stopped, and the demand with it.
    ArgumentError -> :ok
  end

  @doc "Takes the row of a demand that the caller wants no more, and cancels it; who listens besides is told why."
  @spec abandon(Instance.t(), pos_integer, Error.t()) :: :ok | :gone
  def abandon(instance, id, why) do
    with {:ok, row} <- Demands.take(instance, id) do
      Demands.drop(row, why)
      send_cancel(instance, id, elem(row, 7))
      :ok
    end
  end

  @doc """
  Lets `n` more chunks through. `:overloaded` means that the engine has read so little that there is no credit even of
  the reserve: ask again. A demand that has ended needs no grant.
  """
  @spec grant(Instance.t(), pos_integer, pos_integer) :: :ok | :overloaded
  def grant(instance, id, n) do
    with {:ok, row} <- Demands.lookup(instance, id),
         {port, credit} <- Instance.pipe(instance, elem(row, 7)),
         {:error, :overloaded} <- Writer.try_write(port, credit, Messages.grant(id, n), :reserve) do
      :overloaded
    else
      _written_or_ended -> :ok
    end
  end

  @spec deadline_exceeded(target) :: Error.t()
  def deadline_exceeded(node),
    do: error(node, Error.new(:deadline_exceeded, "the deadline passed before the demand was done"))

  defp await(instance, id, node, ref, deadline) do
    receive do
      {^ref, message} ->
        answer(message)

      {:DOWN, ^ref, :process, _table, _reason} ->
        {:error, error(node, Error.new(:engine_down, "the Graphport instance ended"))}
    after
      patience(deadline) ->
        error = deadline_exceeded(node)

        case abandon(instance, id, error) do
          :ok -> {:error, error}
          # Somebody took it: the answer is here, or on its way.
          :gone -> await(instance, id, node, ref, :infinity)
        end
    end
  end

  @doc "The nodes whose chunks an option `stream:` asks for, or `:any`."
  @spec wanted(boolean | :all | [String.t()]) :: [String.t()] | :any
  def wanted(false), do: []
  def wanted(nodes) when is_list(nodes), do: nodes
  def wanted(_true_or_all), do: :any

  @doc "Milliseconds to wait for the engine's word on a deadline, before the caller gives up itself."
  @spec patience(Writer.deadline()) :: timeout
  def patience(:infinity), do: :infinity
  def patience(deadline), do: Writer.left_ms(deadline) + @answer_grace_ms

  @doc "The error of a demand, with the node in it."
  @spec error(target, Error.t()) :: Error.t()
  def error(node, %{node_id: nil} = error) when is_binary(node) and node != "*", do: %{error | node_id: node}
  def error(_node, error), do: error

  defp answer({:demand_complete, _node, outputs}), do: {:ok, outputs}
  defp answer({:demand_error, node, error}), do: {:error, error(node, error)}

  defp wrap(nil), do: :plain
  defp wrap(true), do: :own_ref
  defp wrap(tag), do: {:tag, tag}

  @doc """
  Starts a demand whose row goes to `{destination, wrap, watched}`, with `:own_ref` for a tag that is the demand's ref.

  The tables of an instance that stops meanwhile raise `ArgumentError`: see `stopped/3`.
  """
  @spec start(Instance.t(), Session.t(), target, map, {Demands.destination(), Demands.wrap() | :own_ref, pid}) ::
          {:ok, pos_integer} | {:error, Error.t()}
  def start(%{telemetry: nil} = instance, session, node, options, target),
    do: start(instance, session, node, options, target, System.unique_integer([:positive]), nil)

  def start(instance, session, node, options, target) do
    id = System.unique_integer([:positive])
    span = Spans.begin_demand(instance, session, node, id)

    try do
      start(instance, session, node, options, target, id, span)
    rescue
      error ->
        if span, do: Spans.demand_ended(span.reporter, id, broken(instance.name, error, __STACKTRACE__))
        reraise error, __STACKTRACE__
    else
      {:error, error} = failed ->
        if span, do: Spans.demand_ended(span.reporter, id, error(node, error))
        failed

      started ->
        started
    end
  end

  defp start(instance, session, node, options, target, id, span) do
    deadline = Writer.deadline(options.timeout)
    wait_until = if deadline == :infinity, do: Writer.deadline(@longest_wait_ms), else: deadline
    start(instance, session, node, options, target, {id, span}, deadline, wait_until)
  end

  defp start(instance, session, node, options, target, {id, span} = as, deadline, wait_until) do
    with {:ok, route} <- route(instance, session, wait_until),
         audience = Audience.new(elem(route, 6), span),
         asked = asked(options, audience),
         {:ok, frame} <- Messages.demand_async(id, elem(route, 2), node, wire_options(asked, deadline)) do
      Spans.place(span, id, elem(route, 3))

      case send_demand(instance, id, node, {options, asked, audience}, target, route, frame, wait_until) do
        # The engine was replaced since the route was published: the session knows, or finds out.
        :closed ->
          :ets.delete_object(instance.routes, route)
          start(instance, session, node, options, target, as, deadline, wait_until)

        other ->
          other
      end
    end
  end

  @doc "Where a session is loaded; it is loaded now if it is nowhere."
  @spec route(Instance.t(), Session.t(), Writer.deadline()) :: {:ok, tuple} | {:error, Error.t()}
  def route(instance, session, wait_until) do
    case :ets.lookup(instance.routes, session.id) do
      [route] -> {:ok, route}
      [] -> SessionServer.route(session, Writer.left_ms(wait_until))
    end
  end

  # What is asked of the engine: for a session that broadcasts chunks always, and events where nodes are reported. Where
  # the caller wants none of what is let through by grants there is no window, since nobody would grant.
  defp asked(options, nil), do: options
  defp asked(options, {_reporter, events?}), do: with_events(options, events?)

  defp asked(%{watch: true} = options, {_broadcaster, _reporter, events?}),
    do: Map.put(with_events(options, events?), :stream, true)

  defp asked(options, {_broadcaster, _reporter, events?}) do
    options = with_events(options, events?)

    case {wire_stream(options), events(options)} do
      {true, _events} -> options
      {false, false} -> options |> Map.delete(:window) |> Map.put(:stream, true)
      # With a window all chunks are granted, wanted or not: progress may be.
      _nodes_or_events -> Map.put(options, :stream, true)
    end
  end

  defp with_events(options, false), do: options
  defp with_events(%{events: true} = options, true), do: options

  defp with_events(options, true) do
    watch? = is_map_key(options, :watch)
    options = if wire_stream(options) == false and not watch?, do: Map.delete(options, :window), else: options
    Map.put(options, :events, true)
  end

  defp send_demand(instance, id, node, {options, asked, audience}, target, route, frame, wait_until) do
    {_session, _pid, _wire_id, epoch, port, credit, broadcaster} = route
    {destination, wrap, watched} = target
    wrap = if wrap == :own_ref, do: {:tag, id}, else: wrap
    # With a window it grants chunks and progress, so it must see them, wanted or not.
    seen = if is_map_key(asked, :window), do: asked, else: options
    stream = if broadcaster, do: overheard_stream(seen), else: stream(seen)
    events = if is_map_key(options, :watch), do: events(seen) || :outputs, else: events(seen)
    row = Demands.row(id, destination, wrap, watched, node, stream, epoch, events, audience)
    Demands.insert(instance, row)
    Janitor.watch(instance, watched)

    with {:error, reason} <- write(instance, port, credit, frame, id, route, node, asked, wait_until) do
      case {Demands.take(instance, id), reason} do
        # Whoever took the row has sent, or will send, the last message: this demand counts as started.
        {:gone, _reason} -> {:ok, id}
        {{:ok, _row}, :closed} -> :closed
        {{:ok, _row}, :overloaded} -> {:error, overloaded(instance, id, epoch, frame)}
      end
    else
      :ok -> {:ok, id}
    end
  end

  # A frame that had to wait carries a deadline that is too late; it is written again with what is left. A message in
  # parts has it in the last one. Without a deadline, its parts wait one by one.
  defp write(
         instance,
         port,
         credit,
         {:parts, _bytes, _ending} = parts,
         id,
         _route,
         _node,
         options,
         wait_until
       ) do
    Parts.write(port, credit, parts, %{
      id: id,
      wanted?: fn -> Demands.open?(instance, id) end,
      deadline: if(options.timeout == :infinity, do: :infinity, else: wait_until),
      stall_ms: @longest_wait_ms
    })
  end

  defp write(_instance, port, credit, frame, id, route, node, %{timeout: timeout} = options, wait_until) do
    case Writer.try_write(port, credit, frame, :normal) do
      {:error, :overloaded} when timeout != :infinity ->
        with :ok <- wait_for_credit(port, credit, frame, wait_until) do
          {:ok, shorter} = Messages.demand_async(id, elem(route, 2), node, wire_options(options, wait_until))
          Writer.write_reserved(port, credit, shorter, :erlang.iolist_size(frame))
        end

      {:error, :overloaded} ->
        Writer.write(port, credit, frame, :normal, wait_until)

      other ->
        other
    end
  end

  defp wait_for_credit(port, credit, frame, wait_until),
    do: Writer.reserve(port, credit, :erlang.iolist_size(frame), :normal, wait_until)

  # Who must grant every chunk must see every chunk: `DemandStream` drops those of further ports itself.
  defp stream(%{window: _} = options), do: if(wire_stream(options) == false, do: false, else: :all)
  defp stream(%{stream: nodes}) when is_list(nodes), do: nodes != []
  defp stream(%{stream: stream}), do: stream
  defp stream(_demand), do: false

  # The engine sends every chunk then, so the row says which are for the destination. A window makes it all of them.
  defp overheard_stream(%{window: _} = options), do: stream(options)
  defp overheard_stream(%{stream: nodes}) when is_list(nodes), do: nodes
  defp overheard_stream(options), do: stream(options)

  defp events(%{events: events}), do: events
  defp events(_demand), do: false

  # Without chunks, progress and outputs of a watch there is nothing to limit.
  defp window(%{window: window, watch: true}), do: window

  defp window(%{window: window} = options),
    do: if(wire_stream(options) == false and not events(options), do: nil, else: window)

  defp window(_plain), do: nil

  # Only what differs from the protocol's defaults. Most demands give no option.
  defp wire_options(%{wait: true} = options, deadline),
    do: %{options | wait: false} |> wire_options(deadline) |> Map.put("wait", true)

  defp wire_options(
         %{stream: true, events: false, fresh: false, trace: false, timeout: :infinity, inputs: inputs} =
           options,
         _
       )
       when inputs == %{} and not is_map_key(options, :window) and not is_map_key(options, :watch) and
              (not is_map_key(options, :provenance) or :erlang.map_get(:provenance, options) == false),
       do: @streamed

  defp wire_options(options, deadline) do
    %{}
    |> put_unless(:infinity, "deadline_ms", Writer.left_ms(deadline))
    |> put_unless(%{}, "inputs", options.inputs)
    |> put_unless(false, "fresh", options.fresh)
    |> put_unless(false, "stream", wire_stream(options))
    |> put_unless(false, "events", events(options))
    |> put_unless(nil, "window", window(options))
    |> put_unless(false, "provenance", Map.get(options, :provenance, false))
    |> put_unless(false, "trace", options.trace)
    |> put_unless(false, "watch", is_map_key(options, :watch))
  end

  defp put_unless(map, default, _key, default), do: map
  defp put_unless(map, _default, key, value), do: Map.put(map, key, value)

  defp wire_stream(%{stream: :all}), do: true
  defp wire_stream(%{stream: []}), do: false
  defp wire_stream(%{stream: stream}), do: stream
  defp wire_stream(_demand), do: false

  defp send_cancel(instance, id, epoch) do
    with {port, credit} <- Instance.pipe(instance, epoch),
         {:error, :overloaded} <- Writer.try_write(port, credit, Messages.cancel(id), :reserve) do
      Janitor.cancel(instance, id, epoch)
    end
  end

  # The engine may have parts of the demand: they are of no use now.
  defp overloaded(instance, id, epoch, {:parts, _bytes, _ending}) do
    send_cancel(instance, id, epoch)
    overloaded()
  end

  defp overloaded(_instance, _id, _epoch, _frame), do: overloaded()
  defp overloaded, do: Error.new(:overloaded, "the engine did not take the demand before the deadline")

  @doc """
  What an `ArgumentError` on the way meant: the tables of an instance that has stopped are gone. Any other mistake is the
  caller's, and is raised again. The stack says which table it was: an instance of that name may run again by now.
  """
  @spec stopped(atom, Exception.t(), Exception.stacktrace()) :: {:error, Error.t()}
  def stopped(name, error, stacktrace) do
    if table_gone?(stacktrace), do: {:error, stopping(name)}, else: reraise(error, stacktrace)
  end

  defp broken(name, error, stacktrace) do
    if table_gone?(stacktrace), do: stopping(name), else: Error.new(:internal_error, Exception.message(error))
  end

  defp table_gone?([{:ets, _function, [table | _], _location} | _]), do: :ets.info(table) == :undefined
  defp table_gone?(_elsewhere), do: false

  defp stopping(name), do: Error.new(:shutting_down, "the Graphport instance #{inspect(name)} has stopped")
end
