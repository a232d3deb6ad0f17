defmodule Graphport.Remote.Relay do
  # A demand's process on the caller's node: has a `Proxy` started on the engine's node, hands what that sends to the
  # receiver, and sends the one last message itself when the other node, or the way to it, is gone. Ends with the demand,
  # or with the receiver; linked to the proxy, so neither outlives the other. Started by `Graphport.Remote`.
  #
  # Chunks are granted when they have been handed on, or consumed, so that no more than a window of them is on the way,
  # whoever is slow. Only the start waits for the network: a grant that the connection does not take now is tried again.
  @moduledoc false

  alias Graphport.{Caller, Demand, Error, Session}
  alias Graphport.Instance.Mailboxes
  alias Graphport.Port.Writer
  alias Graphport.Remote.{Ending, Proxy}

  # Of chunks that are granted as they are handed on.
  @window 64
  @grant_again_ms 20

  @typedoc """
  What the demand is for: messages to a pid, with a tag; the last message to the caller; or messages to the caller, who
  grants their chunks.
  """
  @type kind :: {:messages, pid, term} | :answer | :chunks

  @doc """
  Starts one for the calling process, which gets `{ref, …}` by an alias until it demonitors `ref`:

    * `{:refused, error}`, or, but for `:answer`, `{:started, id}`;
    * for `:answer` the last message, for `:chunks` all, with the chunks of every port as `{port, chunk}`.

  `{:messages, …}` waits for `go/2` then.
  """
  @spec start(Session.t(), Demand.target(), map, kind) :: {pid, reference}
  def start(session, node, options, kind) do
    args = [self(), session, node, options, kind]
    spawn_options = [monitor: [alias: :demonitor], message_queue_data: :off_heap]
    {relay, ref} = :erlang.spawn_opt(__MODULE__, :run, args, spawn_options)
    send(relay, {:begin, ref})
    {relay, ref}
  end

  @doc "The caller has the demand: what it brings may be sent."
  @spec go(pid, reference) :: term
  def go(relay, ref), do: send(relay, {:go, ref})

  @doc "Lets `n` more chunks through."
  @spec grant(pid, pos_integer) :: term
  def grant(relay, n), do: send(relay, {:grant, n})

  @doc "Ends the demand; nothing more is sent."
  @spec stop(pid) :: true
  def stop(relay), do: Process.exit(relay, :kill)

  @doc false
  @spec run(pid, Session.t(), Demand.target(), map, kind) :: term
  def run(caller, session, node, options, kind) do
    Process.flag(:trap_exit, true)
    deadline = Writer.deadline(options.timeout)
    watched = Process.monitor(caller)
    ref = await({:begin, watched})

    case start_proxy(session, node, options, deadline, watched) do
      {:ok, proxy, id} ->
        # watched: whose end is the demand's; to, wrap: where messages go; ports: the first streaming port seen of each
        # node, or :all; nodes, events: which chunks are wanted, and whether events are (the engine sends more when others
        # listen too); owed: chunks to be granted, and batch: so many at once;
        # grants: whether they are granted when handed on, or when the consumer says so; give_up_at: when the engine should
        # long have said that the deadline passed.
        loop(
          Map.merge(target(kind, ref, id, caller, watched, options), %{
            node: node,
            proxy: proxy,
            owed: 0,
            give_up_at: Writer.deadline(Caller.patience(deadline))
          })
        )

      {:error, error} ->
        send(ref, {ref, {:refused, error}})
    end
  end

  defp target({:messages, to, tag}, ref, id, caller, watched, options) do
    send(ref, {ref, {:started, id}})
    ^ref = await({:go, watched})

    watched =
      if to == caller do
        watched
      else
        Process.demonitor(watched, [:flush])
        Process.monitor(to)
      end

    %{
      to: to,
      wrap: wrap(tag, id),
      watched: watched,
      ports: if(options.stream == :all, do: :all, else: %{}),
      nodes: Caller.wanted(options.stream),
      events: options.events,
      grants: :handed_on,
      batch: div(@window, 2)
    }
  end

  defp target(kind, ref, id, _caller, watched, _options) do
    if kind == :chunks, do: send(ref, {ref, {:started, id}})
    wants = %{ports: :all, nodes: :any, events: true}
    Map.merge(wants, %{to: ref, wrap: {:ref, ref}, watched: watched, grants: :consumed, batch: 1})
  end

  defp wrap(nil, _id), do: :plain
  defp wrap(true, id), do: {:tag, id}
  defp wrap(tag, _id), do: {:tag, tag}

  defp await({word, watched}) do
    receive do
      {^word, ref} -> ref
      {:DOWN, ^watched, :process, _caller, _reason} -> exit(:shutdown)
    end
  end

  # Every chunk must be granted, so every one comes here, those that the receiver does not want too.
  defp start_proxy(session, node, options, deadline, watched) do
    # Connecting, and whatever held this process up until now, is part of the demand's time.
    options =
      options
      |> Map.drop([:to, :tag, :elements])
      |> Map.put_new(:window, @window)
      |> Map.put(:timeout, Writer.left_ms(deadline))

    args = [self(), session, node, options]

    request =
      :erlang.spawn_request(node(session.pid), Proxy, :run, args, [:link, message_queue_data: :off_heap])

    await_proxy(request, node(session.pid), watched)
  end

  defp await_proxy(proxy, there, watched) do
    receive do
      {:spawn_reply, ^proxy, :ok, pid} -> await_proxy(pid, there, watched)
      {:spawn_reply, ^proxy, :error, reason} -> {:error, Ending.error(there, reason)}
      {^proxy, {:started, id}} -> {:ok, proxy, id}
      {^proxy, {:refused, %Error{} = error}} -> {:error, error}
      {:EXIT, ^proxy, reason} -> {:error, Ending.error(there, reason)}
      {:DOWN, ^watched, :process, _caller, _reason} -> exit(:shutdown)
    end
  end

  defp loop(%{proxy: proxy, watched: watched} = state) do
    receive do
      {^proxy, message} ->
        message |> hand_on(state) |> go_on()

      {:grant, n} ->
        go_on(%{state | owed: state.owed + n})

      {:EXIT, ^proxy, reason} ->
        deliver(state, {:demand_error, state.node, Ending.error(node(proxy), reason)})

      # Not a normal end: it takes the proxy along, and that the demand.
      {:DOWN, ^watched, :process, _receiver, _reason} ->
        exit(:shutdown)
    after
      wait_ms(state) -> waited(state)
    end
  end

  defp go_on(:done), do: :ok
  defp go_on(%{owed: owed, batch: batch} = state) when owed < batch, do: loop(state)

  defp go_on(state) do
    # Asked only when there is something to grant: the next look is at the next try.
    if flooded?(state), do: loop(state), else: send_grant(state)
  end

  # Who does not read its messages gets no more, as at home; a process of a third node cannot be looked at.
  defp flooded?(%{grants: :handed_on, to: to}) when node(to) == node() do
    {most, _few} = Mailboxes.limits()
    match?({:message_queue_len, unread} when unread > most, Process.info(to, :message_queue_len))
  end

  defp flooded?(_state), do: false

  defp send_grant(state) do
    case :erlang.send(state.proxy, {:grant, state.owed}, [:nosuspend, :noconnect]) do
      :nosuspend -> loop(state)
      # A connection that is gone is told of by a message.
      _sent_or_gone -> loop(%{state | owed: 0})
    end
  end

  defp wait_ms(%{owed: owed, batch: batch} = state) when owed >= batch,
    do: min(@grant_again_ms, Writer.left_ms(state.give_up_at))

  defp wait_ms(state), do: Writer.left_ms(state.give_up_at)

  defp waited(state) do
    if Writer.left_ms(state.give_up_at) == 0 do
      deliver(state, {:demand_error, state.node, %{Caller.deadline_exceeded(state.node) | node_id: nil}})
      exit(:shutdown)
    else
      go_on(state)
    end
  end

  defp hand_on({:node_stream, node, {port, chunk}}, %{ports: ports} = state) do
    state = handed_on(state)
    wanted? = state.nodes == :any or node in state.nodes

    case ports do
      _ports when not wanted? -> state
      :all -> deliver(state, {:node_stream, node, {port, chunk}})
      %{^node => ^port} -> deliver(state, {:node_stream, node, chunk})
      %{^node => _first} -> state
      ports -> deliver(%{state | ports: Map.put(ports, node, port)}, {:node_stream, node, chunk})
    end
  end

  # Progress is let through like chunks.
  defp hand_on({:node_event, _node, event} = message, state) do
    state = if match?(%{"event" => "progress"}, event), do: handed_on(state), else: state
    if state.events, do: deliver(state, message), else: state
  end

  # What a watch tells is, too.
  defp hand_on({kind, _node, _told} = message, state) when kind in [:node_output, :node_failed],
    do: deliver(handed_on(state), message)

  defp hand_on(last, state) do
    deliver(state, last)
    :done
  end

  defp handed_on(%{grants: :handed_on} = state), do: %{state | owed: state.owed + 1}
  defp handed_on(state), do: state

  defp deliver(state, message) do
    case state.wrap do
      :plain -> send(state.to, message)
      {:ref, ref} -> send(state.to, {ref, message})
      {:tag, tag} -> send(state.to, {:graphport, tag, message})
    end

    state
  end
end
