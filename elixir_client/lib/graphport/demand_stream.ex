defmodule Graphport.DemandStream do
  # A demand as a lazy enumerable with back-pressure: what `Graphport.stream/3` returns. Runs wholly in the process that
  # enumerates. The engine sends as many chunks as the window has, and one more for each that is granted here, so no
  # more than those wait in the mailbox. However the enumeration ends, `finish/1` takes the row, cancels what is under
  # way, and leaves no message and no monitor.
  #
  # Every chunk, and every `progress`, must be granted, those that are dropped here too: a chunk that nobody grants is one
  # less for ever, and in the end the engine and the consumer wait for each other.
  @moduledoc false

  alias Graphport.{Caller, Demand, Error, Instance, Remote, Session}
  alias Graphport.Port.Writer
  alias Graphport.Remote.Relay

  # A grant that found no credit is tried again so soon, while nothing comes.
  @grant_again_ms 16

  @spec new(Session.t(), Demand.target(), map) :: Enumerable.t()
  def new(_session, _node, %{events: true, elements: :chunks}) do
    raise ArgumentError,
          "option :events of Graphport.stream/3 needs elements: :messages, which has a place for events"
  end

  def new(session, node, options),
    do: Stream.resource(fn -> start(session, node, options) end, &next/1, &finish/1)

  # source: instance and id of the demand, or its relay; ports: the first streaming port seen of each node, or :all; nodes:
  # those whose chunks are wanted, if not any's, and events: whether those are wanted (the engine sends more when others
  # listen too); owed: chunks taken from the mailbox, not yet granted;
  # batch: so many are granted at once; give_up_at: when the engine should long have said that the deadline passed;
  # done: the last message was taken.
  defp start(session, node, options) do
    deadline = Writer.deadline(options.timeout)

    {source, ref} =
      if Remote.pid?(session.pid), do: there(session, node, options), else: here(session, node, options)

    %{
      source: source,
      node: node,
      ref: ref,
      consumer: self(),
      give_up_at: Writer.deadline(Caller.patience(deadline)),
      elements: options.elements,
      ports: if(options.stream == :all, do: :all, else: %{}),
      nodes: Caller.wanted(options.stream),
      events: options.events,
      owed: 0,
      batch: max(div(options.window, 2), 1),
      done: false
    }
  end

  defp there(session, node, options) do
    case Remote.stream(session, node, options) do
      {:ok, relay, ref} -> {relay, ref}
      {:error, error} -> raise error
    end
  end

  defp here(session, node, options) do
    instance = unwrap!(Instance.fetch(session.instance))
    # The alias that messages come by, and the monitor of what would take the row away.
    ref = :erlang.monitor(:process, instance.table, alias: :demonitor)

    case demand(instance, session, node, options, ref) do
      {:ok, id} ->
        {{instance, id}, ref}

      {:error, error} ->
        Remote.forget(ref)
        raise error
    end
  end

  defp demand(instance, session, node, options, ref) do
    Caller.start(instance, session, node, options, {ref, {:ref, ref}, self()})
  rescue
    error in ArgumentError -> Caller.stopped(session.instance, error, __STACKTRACE__)
  end

  defp next(%{done: true} = state), do: {:halt, state}

  # Only the process that started the demand receives: any other one would wait for ever.
  defp next(%{consumer: consumer}) when consumer != self() do
    raise ArgumentError,
          "a stream of Graphport.stream/3 must be enumerated to its end by the process that began it"
  end

  # Whatever was given out has been consumed when more is wanted.
  defp next(state) do
    %{ref: ref} = state = grant(state)

    receive do
      {^ref, message} ->
        taken(message, state)

      {:DOWN, ^ref, :process, _table, _reason} ->
        raise Error.new(:engine_down, "the Graphport instance, or the demand's relay, ended")
    after
      wait_ms(state) -> waited(state)
    end
  end

  defp grant(%{owed: owed, batch: batch} = state) when owed < batch, do: state

  defp grant(state) do
    case allow(state.source, state.owed) do
      :ok -> %{state | owed: 0}
      :overloaded -> state
    end
  rescue
    # The tables are gone: the monitor says so.
    ArgumentError -> %{state | owed: 0}
  end

  defp allow({instance, id}, n), do: Caller.grant(instance, id, n)

  defp allow(relay, n) do
    Relay.grant(relay, n)
    :ok
  end

  # The chunks that would bring the next try may be the very ones that are not granted, so time must bring it.
  defp wait_ms(%{owed: owed, batch: batch} = state) when owed >= batch,
    do: min(@grant_again_ms, Writer.left_ms(state.give_up_at))

  defp wait_ms(state), do: Writer.left_ms(state.give_up_at)

  defp waited(state) do
    cond do
      Writer.left_ms(state.give_up_at) != 0 ->
        next(state)

      abandon(state, Caller.deadline_exceeded(state.node)) == :ok ->
        raise Caller.deadline_exceeded(state.node)

      # Somebody took the row: the last message is here, or on its way.
      true ->
        next(%{state | give_up_at: :infinity})
    end
  end

  defp taken({:node_stream, node, {port, chunk}}, state) do
    state = %{state | owed: state.owed + 1}
    wanted? = state.nodes == :any or node in state.nodes

    case state.ports do
      _ports when not wanted? -> next(state)
      :all -> {[element(state, node, {port, chunk})], state}
      %{^node => ^port} -> {[element(state, node, chunk)], state}
      %{^node => _first} -> next(state)
      ports -> {[element(state, node, chunk)], %{state | ports: Map.put(ports, node, port)}}
    end
  end

  # Progress is let through like chunks.
  defp taken({:node_event, _node, event} = message, state) do
    state = if match?(%{"event" => "progress"}, event), do: %{state | owed: state.owed + 1}, else: state
    if state.events, do: {[message], state}, else: next(state)
  end

  defp taken({:demand_error, node, error}, _state), do: raise(Caller.error(node, error))

  defp taken({:demand_complete, _node, _outputs} = message, %{elements: :messages} = state),
    do: {[message], %{state | done: true}}

  defp taken({:demand_complete, _node, _outputs}, state), do: {:halt, %{state | done: true}}

  defp element(%{elements: :chunks}, _node, chunk), do: chunk
  defp element(%{elements: :messages}, node, chunk), do: {:node_stream, node, chunk}

  defp finish(state) do
    unless state.done, do: abandon(state, Error.new(:cancelled, "the stream was not read to its end"))
    if state.consumer == self(), do: Remote.forget(state.ref)
  end

  defp abandon(%{source: {instance, id}}, why) do
    Caller.abandon(instance, id, why)
  rescue
    # The instance has stopped, and the demand with it.
    ArgumentError -> :gone
  end

  defp abandon(%{source: relay}, _why) do
    Relay.stop(relay)
    :ok
  end

  defp unwrap!({:ok, value}), do: value
  defp unwrap!({:error, error}), do: raise(error)
end
