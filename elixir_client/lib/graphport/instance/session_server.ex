defmodule Graphport.Instance.SessionServer do
  # Keeps one graph, and sees to it that the engine has it: loads it when the session opens, and anew on the first use
  # after the engine was replaced. Callers find the loaded session in the `routes` table without asking here; they
  # call `route/2` only when it is not there. Ends when the session's owner ends, and tells the engine.
  @moduledoc false
  use GenServer, restart: :temporary

  alias Graphport.{Error, Instance, Session}
  alias Graphport.Instance.{Broadcaster, Demands, Engine, Janitor, Pool, SessionRequest, SessionUpdates}
  alias Graphport.Port.Writer
  alias Graphport.Wire.Messages

  @write_timeout_ms 5_000
  @close_timeout_ms 5_000
  # Asks again for the engine, in case its owner was restarted and forgot who was waiting.
  @await_again_ms 1_000
  # A graph whose loading kills the engine is not loaded again and again: it would take every other session with it.
  @deaths_while_loading 3

  # Its place in a route.
  @broadcaster 7

  @type answer :: {:ok, Instance.route()} | {:error, Error.t()}

  @doc """
  Starts the process of a new session and loads its graph. The name is nil for a session without one, the topic for one
  that does not broadcast.
  """
  @spec open(Instance.t(), map, pid | :none, term, timeout, Broadcaster.target() | nil) ::
          {:ok, Session.t()} | {:error, Error.t()}
  def open(instance, graph, owner, name, timeout, topic \\ nil) do
    id = System.unique_integer([:positive])
    args = %{instance: instance, id: id, graph: graph, owner: owner, name: name, topic: topic}
    child = {__MODULE__, args}

    with {:ok, pid} <- start_child(instance, child) do
      session = %Session{instance: instance.name, id: id, pid: pid}

      case route(session, timeout) do
        {:ok, _route} ->
          {:ok, session}

        {:error, _error} = failed ->
          discard(session, name)
          failed
      end
    end
  end

  @doc "The open session of that name."
  @spec find(Instance.t(), term) :: {:ok, Session.t()} | {:error, Error.t()}
  def find(instance, name) do
    case Registry.lookup(instance.registry, name) do
      [{pid, id}] -> {:ok, %Session{instance: instance.name, id: id, pid: pid}}
      [] -> {:error, Error.new(:unknown_session, "no session named #{inspect(name)} is open")}
    end
  rescue
    # The registry is gone, and the instance with it.
    ArgumentError -> {:error, Error.new(:shutting_down, "the Graphport instance is stopping")}
  end

  @doc "Where the session is loaded, once it is. Waits at most `timeout`, in the caller."
  @spec route(Session.t(), timeout) :: answer
  def route(session, timeout), do: call(session, :route, timeout)

  @doc """
  Applies edits, in the form of the wire, once those before are applied; or the answer of a person, which gives how many
  demands went on with it. Waits at most `timeout`, in the caller.
  """
  @spec update(Session.t(), [map] | {:answer, String.t(), term}, timeout) ::
          {:ok, map | non_neg_integer} | {:error, Error.t()}
  def update(session, edits, timeout) do
    with {:error, %Error{code: :deadline_exceeded}} <- call(session, {:update, edits}, timeout) do
      text = "the update was not answered before the deadline; it may still be applied"
      {:error, Error.new(:deadline_exceeded, text)}
    end
  end

  @doc "Closes the session; its open demands end as cancelled. `:ok` also if it was closed already."
  @spec close(Session.t()) :: :ok
  def close(session) do
    _ = call(session, :close, @close_timeout_ms)
    :ok
  end

  @spec start_link(map) :: GenServer.on_start()
  def start_link(args), do: GenServer.start_link(__MODULE__, args)

  # Whoever opens again after a failure must find the name free.
  defp discard(session, nil), do: GenServer.cast(session.pid, :stop)
  defp discard(session, _name), do: call(session, :stop, @close_timeout_ms)

  defp start_child(instance, {_module, args} = child) do
    case DynamicSupervisor.start_child(instance.sessions, child) do
      {:ok, pid} ->
        {:ok, pid}

      :ignore ->
        text =
          "a session named #{inspect(args.name)} is open already: get it with Graphport.session/2, or close it"

        {:error, Error.new(:duplicate_id, text)}

      {:error, reason} ->
        {:error, Error.new(:internal_error, "the session did not start: #{inspect(reason)}")}
    end
  catch
    :exit, _reason -> {:error, Error.new(:shutting_down, "the Graphport instance is stopping")}
  end

  defp call(session, request, timeout) do
    GenServer.call(session.pid, request, timeout)
  catch
    :exit, {:timeout, _call} -> {:error, waited(session)}
    :exit, _gone -> {:error, Error.new(:unknown_session, "the session is closed")}
  end

  # Says why nothing came in time, if the engine is why.
  defp waited(session) do
    with {:ok, instance} <- Instance.fetch(session.instance),
         {:error, error} <- Pool.any(instance) do
      %{error | code: :engine_down}
    else
      _up -> Error.new(:deadline_exceeded, "the session was not loaded before the deadline")
    end
  end

  # The name is registered here, so that it belongs to this process; the registry frees it if it is killed.
  @impl GenServer
  def init(%{name: name} = args) do
    case name == nil or Registry.register(args.instance.registry, name, args.id) do
      {:error, {:already_registered, _pid}} -> :ignore
      _registered -> {:ok, start(args), {:continue, :watch_owner}}
    end
  end

  defp start(args) do
    Janitor.session_started(args.instance)

    # request: {id, wire session, epoch, port, credit} of the `open` under way; waiting: who asked for the route;
    # closing: who waits for the answer to `close`, if it was sent; deaths: engines that ended, one after the other,
    # while loading it; place: the epoch of the engine that counts it.
    args
    |> Map.put(:broadcaster, nil)
    |> start_broadcaster()
    |> Map.merge(%{
      route: nil,
      request: nil,
      place: nil,
      waiting: [],
      closing: [],
      awaiting: false,
      deaths: 0,
      updates: SessionUpdates.new(args.graph)
    })
    |> Map.delete(:graph)
  end

  # Not in `init/1`, where the supervisor of all sessions waits: the owner may be on a node whose connection takes nothing.
  @impl GenServer
  def handle_continue(:watch_owner, state) do
    if state.owner != :none, do: Process.monitor(state.owner)
    {:noreply, state}
  end

  # Being closed: a late caller must not bring the route back, a second one only waits with the first.
  @impl GenServer
  def handle_call(:route, _from, %{closing: [_ | _]} = state), do: {:reply, closed(), state}

  def handle_call(:close, from, %{closing: [_ | _]} = state),
    do: {:noreply, %{state | closing: [from | state.closing]}}

  def handle_call(:route, from, state) do
    if state.route != nil and Pool.serves?(state.instance, elem(state.route, 3)) do
      # The row may have been removed by a caller whose write failed.
      :ets.insert(state.instance.routes, state.route)
      {:reply, {:ok, state.route}, state}
    else
      load(%{state | waiting: [from | state.waiting]})
    end
  end

  def handle_call({:update, _edits}, _from, %{closing: [_ | _]} = state), do: {:reply, closed(), state}

  def handle_call({:update, edits}, from, state),
    do: go_on(%{state | updates: SessionUpdates.add(state.updates, from, edits)})

  def handle_call(:stop, _from, state), do: {:stop, :normal, :ok, state}

  def handle_call(:close, from, state) do
    :ets.delete(state.instance.routes, state.id)
    free_name(state)
    state = %{answered(state, closed()) | closing: [from]}
    state = %{state | updates: SessionUpdates.refuse_all(state.updates, closed())}

    case send_close(state) do
      {:ok, id} ->
        Process.send_after(self(), :close_timeout, @close_timeout_ms)
        {:noreply, %{state | request: {id, nil, nil, nil, nil}}}

      :not_loaded ->
        {:stop, :normal, :ok, state}
    end
  end

  @impl GenServer
  def handle_cast(:stop, state), do: {:stop, :normal, state}

  @impl GenServer
  def handle_info({request, answer}, %{updates: %{current: {_kind, request, _from, _what}} = updates} = state) do
    {:ok, updates} = SessionUpdates.answered(updates, request, answer, state.route, state.instance)
    with {:noreply, state} <- go_on(%{state | updates: updates}), do: load(state)
  end

  # The answer to `open`, or to `close`, or the end of the epoch.
  def handle_info({id, answer}, %{request: {id, wire_id, epoch, port, credit}} = state) do
    if state.closing == [] do
      opened(answer, {state.id, self(), wire_id, epoch, port, credit, state.broadcaster}, %{
        state
        | request: nil
      })
    else
      Enum.each(state.closing, &GenServer.reply(&1, :ok))
      {:stop, :normal, %{state | route: nil}}
    end
  end

  def handle_info({:engine_up, _epoch}, state), do: load(%{state | awaiting: false})
  def handle_info({:engine_failed, _error}, state), do: load(%{state | awaiting: false})
  def handle_info(:await_again, state), do: load(%{state | awaiting: false})

  # Somebody killed it. Of the demands under way nothing more is told; of later ones it is.
  def handle_info({:broadcaster_down, _monitor, :process, _pid, _reason}, state) do
    state = start_broadcaster(state)
    :ets.update_element(state.instance.routes, state.id, {@broadcaster, state.broadcaster})
    {:noreply, %{state | route: state.route && put_elem(state.route, @broadcaster - 1, state.broadcaster)}}
  end

  # Only the owner is monitored without a tag.
  def handle_info({:DOWN, _monitor, :process, _owner, _reason}, state), do: {:stop, :normal, state}
  def handle_info(:close_timeout, state), do: {:stop, :normal, state}
  def handle_info(_late, state), do: {:noreply, state}

  @impl GenServer
  def terminate(_reason, state) do
    :ets.delete(state.instance.routes, state.id)
    leave(state)
    Janitor.session_ends(state.instance)
    free_name(state)
    answered(state, closed())
    SessionUpdates.refuse_all(state.updates, closed())
    if state.closing == [], do: send_close(state)
  end

  defp start_broadcaster(%{topic: nil} = state), do: state

  defp start_broadcaster(state) do
    case Broadcaster.start(state.instance, state.topic) do
      {:ok, pid} ->
        :erlang.monitor(:process, pid, tag: :broadcaster_down)
        %{state | broadcaster: pid}

      # The instance is stopping.
      {:error, _reason} ->
        %{state | broadcaster: nil}
    end
  end

  defp closed, do: {:error, Error.new(:unknown_session, "the session was closed")}

  # Before anybody is told that the session is closed: they may open the next one of that name at once.
  defp free_name(%{name: nil}), do: :ok

  defp free_name(state) do
    Registry.unregister(state.instance.registry, state.name)
  rescue
    # The registry is gone, and the name with it.
    ArgumentError -> :ok
  end

  defp opened({:reply, _facts}, route, state) do
    :ets.insert(state.instance.routes, route)
    state = %{state | route: route, deaths: 0}

    # The epoch may have ended meanwhile: its rows were removed before this one came.
    if Pool.serves?(state.instance, elem(route, 3)) do
      go_on(answered(state, {:ok, route}))
    else
      :ets.delete_object(state.instance.routes, route)
      load(state)
    end
  end

  defp opened({:error, %Error{code: :engine_down}}, _route, %{deaths: deaths} = state)
       when deaths + 1 < @deaths_while_loading,
       do: load(%{state | deaths: deaths + 1})

  defp opened({:error, error}, _route, state) do
    {:noreply, %{answered(state, {:error, error}) | deaths: 0}}
  end

  # Sends the next update, if there is one, to the engine that has the session, or has it loaded first.
  defp go_on(state) do
    cond do
      not SessionUpdates.waiting?(state.updates) ->
        {:noreply, state}

      state.route == nil or state.request != nil or not Pool.serves?(state.instance, elem(state.route, 3)) ->
        load(%{state | waiting: Enum.uniq([:updates | state.waiting])})

      true ->
        case SessionUpdates.send_next(state.updates, state.route, state.instance) do
          {:ok, updates} ->
            go_on(%{state | updates: updates})

          {:closed, updates} ->
            load(%{state | updates: updates, waiting: Enum.uniq([:updates | state.waiting])})
        end
    end
  end

  # Loads the graph if somebody waits for it and nothing is under way. The reply comes as a message.
  defp load(%{waiting: []} = state), do: {:noreply, state}
  defp load(%{request: request} = state) when request != nil, do: {:noreply, state}
  # Nor while an update is on its way: it may have been accepted, and the graph to load is then another.
  defp load(%{updates: %{current: current}} = state) when current != nil, do: {:noreply, state}

  defp load(state) do
    state = leave(state)

    case Pool.place(state.instance) do
      {:ok, {epoch, port, credit}} ->
        send_open(%{state | place: epoch}, epoch, port, credit)

      :down ->
        {:noreply, await(state)}

      {:error, error} ->
        {:noreply, answered(state, {:error, error})}
    end
  end

  defp leave(%{place: nil} = state), do: state

  defp leave(state) do
    Pool.leave(state.instance, state.place)
    %{state | place: nil}
  end

  defp await(%{awaiting: true} = state), do: state

  defp await(state) do
    Engine.await(state.instance)
    Process.send_after(self(), :await_again, @await_again_ms)
    %{state | awaiting: true}
  end

  defp send_open(state, epoch, port, credit) do
    request = System.unique_integer([:positive])
    wire_id = System.unique_integer([:positive])

    Janitor.session_loads(state.instance, wire_id, epoch)

    {graph, updates} = SessionUpdates.graph(state.updates)
    state = %{state | updates: updates}

    with {:ok, frame} <- Messages.open(request, wire_id, graph, updates.revision) do
      Demands.insert(state.instance, Demands.row(request, self(), {:ref, request}, self(), nil, false, epoch))

      case SessionRequest.write(frame, request, port, credit, state.instance) do
        :ok -> {:noreply, %{state | request: {request, wire_id, epoch, port, credit}}}
        # Whoever took the row has sent what came of it.
        {:error, :gone} -> {:noreply, %{state | request: {request, wire_id, epoch, port, credit}}}
        {:error, reason} -> not_sent(reason, request, epoch, state)
      end
    else
      {:error, error} ->
        {:noreply, answered(state, {:error, error})}
    end
  end

  defp not_sent(reason, request, epoch, state) do
    _ = Demands.take(state.instance, request)
    # For a graph in parts; to an engine that has none of it, it says nothing.
    Janitor.cancel(state.instance, request, epoch)

    case reason do
      # The owner will say when there is another engine.
      :closed ->
        {:noreply, await(state)}

      :overloaded ->
        {:noreply,
         answered(state, {:error, Error.new(:overloaded, "the engine did not take the graph in time")})}
    end
  end

  defp send_close(%{route: {_id, _pid, wire_id, epoch, port, credit, _broadcaster}} = state),
    do: send_close(state, wire_id, epoch, port, credit)

  # An `open` under way: the engine reads the `close` after it.
  defp send_close(%{request: {_request, wire_id, epoch, port, credit}} = state) when port != nil,
    do: send_close(state, wire_id, epoch, port, credit)

  defp send_close(_state), do: :not_loaded

  defp send_close(state, wire_id, epoch, port, credit) do
    request = System.unique_integer([:positive])

    if state.closing != [],
      do:
        Demands.insert(
          state.instance,
          Demands.row(request, self(), {:ref, request}, self(), nil, false, epoch)
        )

    # Without somebody who waits for the answer, there is nothing to wait for here either.
    deadline = Writer.deadline(if(state.closing == [], do: 0, else: @write_timeout_ms))

    with {:error, reason} <-
           Writer.write(port, credit, Messages.close(request, wire_id), :reserve, deadline) do
      _ = Demands.take(state.instance, request)
      if reason == :overloaded, do: Janitor.close(state.instance, wire_id, epoch)
      :not_loaded
    else
      :ok -> {:ok, request}
    end
  end

  # Among those who wait for the route may be the session's own updates.
  defp answered(state, answer) do
    for from <- state.waiting, from != :updates, do: GenServer.reply(from, answer)
    refused? = :updates in state.waiting and match?({:error, _error}, answer)
    updates = if refused?, do: SessionUpdates.refuse_waiting(state.updates, answer), else: state.updates
    %{state | waiting: [], updates: updates}
  end
end
