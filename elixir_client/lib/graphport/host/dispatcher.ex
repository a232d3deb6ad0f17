defmodule Graphport.Host.Dispatcher do
  # Starts a process for each node that an engine asks the app to run, and ends it when the engine says so or is gone.
  # Told by the engines' owners, which only pass on; runs no code of the app itself. Comes before the owners in the
  # instance's core, and the supervisor of the runs after it: its own end takes both along, since what an engine had
  # asked for would be forgotten.
  #
  # At most `limit` run at a time. A run that waits for a demand of its own is not counted: what it waits for may need a
  # run that has not begun. Who waits stands in the table of demands, which is looked at while others wait for their turn.
  @moduledoc false
  use GenServer

  alias Graphport.Host.{Calling, Failure}
  alias Graphport.Instance
  alias Graphport.Instance.Demands
  alias Graphport.Port.{Pipe, Writer}
  alias Graphport.Wire.Messages

  @look_again_ms 10
  @write_again_ms 10

  @type settings :: %{
          name: atom,
          host_nodes: %{optional(String.t()) => module},
          host_concurrency: pos_integer
        }

  @spec start_link(settings) :: GenServer.on_start()
  def start_link(settings),
    do: GenServer.start_link(__MODULE__, settings, name: Instance.process_name(settings.name, :host))

  @impl GenServer
  def init(settings) do
    {:ok, instance} = Instance.fetch(settings.name)

    # running: {epoch, call} => {pid, monitor, facts}; runs: monitor => {epoch, call}; waiting: {epoch, call} => start;
    # order: the keys of those who wait, and of some who do not any more; pipes: epoch => {wire, monitor}.
    {:ok,
     %{
       instance: instance,
       nodes: settings.host_nodes,
       limit: settings.host_concurrency,
       tasks: Instance.process_name(settings.name, :host_tasks),
       running: %{},
       runs: %{},
       waiting: %{},
       order: :queue.new(),
       pipes: %{},
       looking: false
     }}
  end

  @impl GenServer
  def handle_info({{:host_call, call, demand, node, type, inputs}, epoch}, state) do
    case pipe(state, epoch) do
      {:ok, wire, state} ->
        facts = %{
          instance: state.instance.name,
          node: node,
          type: type,
          demand: demand,
          call: call,
          wire: wire
        }

        {:noreply, call({epoch, call}, facts, inputs, state)}

      :gone ->
        {:noreply, state}
    end
  end

  def handle_info({{:host_cancel, call}, epoch}, state),
    do: {:noreply, state |> stop({epoch, call}) |> go_on()}

  def handle_info({{:host_more, call, chunks}, epoch}, state) do
    with %{{^epoch, ^call} => {pid, _monitor, _facts}} <- state.running,
         do: send(pid, {:graphport_host_more, call, chunks})

    {:noreply, state}
  end

  def handle_info({:DOWN, monitor, :process, _pid, reason}, state) when is_map_key(state.runs, monitor) do
    {key, runs} = Map.pop!(state.runs, monitor)
    {{_pid, _monitor, facts}, running} = Map.pop!(state.running, key)
    # It may have ended just before it could say so: the engine takes the first answer only.
    if :atomics.get(facts.answered, 1) == 0, do: fail(facts, Failure.ended(facts, reason))
    {:noreply, go_on(%{state | runs: runs, running: running})}
  end

  def handle_info({:DOWN, monitor, _kind, _wire, _reason}, state),
    do: {:noreply, state |> pipe_ended(monitor) |> go_on()}

  def handle_info({:fail, facts, fault}, state) do
    fail(facts, fault)
    {:noreply, state}
  end

  def handle_info(:look, state), do: {:noreply, go_on(%{state | looking: false})}
  def handle_info(_stray, state), do: {:noreply, state}

  # -- the pipes ---------------------------------------------------------------------------------------------------

  defp pipe(%{pipes: pipes} = state, epoch) do
    with :error <- Map.fetch(pipes, epoch),
         {_port, _credit} = wire <- Instance.pipe(state.instance, epoch) do
      {:ok, wire, %{state | pipes: Map.put(pipes, epoch, {wire, Pipe.monitor(elem(wire, 0))})}}
    else
      {:ok, {wire, _monitor}} -> {:ok, wire, state}
      :gone -> :gone
    end
  end

  defp pipe_ended(state, monitor) do
    case Enum.find(state.pipes, fn {_epoch, {_wire, of_pipe}} -> of_pipe == monitor end) do
      nil ->
        state

      {epoch, _pipe} ->
        keys =
          for {of_epoch, _call} = key <- Map.keys(state.running) ++ Map.keys(state.waiting),
              of_epoch == epoch,
              do: key

        Enum.reduce(keys, %{state | pipes: Map.delete(state.pipes, epoch)}, &stop(&2, &1))
    end
  end

  # -- runs --------------------------------------------------------------------------------------------------------

  # A number that is under way is no new call, whatever the engine means by it.
  defp call(key, _facts, _inputs, state)
       when is_map_key(state.running, key) or is_map_key(state.waiting, key),
       do: state

  defp call(key, facts, inputs, %{nodes: nodes} = state) do
    case Map.fetch(nodes, facts.type) do
      {:ok, module} ->
        go_on(put_waiting(state, key, {module, inputs, facts}))

      :error ->
        fail(facts, unknown(facts))
        state
    end
  end

  defp put_waiting(state, key, start),
    do: %{state | waiting: Map.put(state.waiting, key, start), order: :queue.in(key, state.order)}

  defp unknown(facts) do
    %{"code" => "unknown_type", "message" => "the app has no node type #{inspect(facts.type)}"}
  end

  # Begins what may begin. The table is looked at once in a while only: there may be thousands who wait.
  defp go_on(state, spare \\ 0)

  defp go_on(%{waiting: waiting} = state, _spare) when map_size(waiting) == 0,
    do: %{state | order: :queue.new()}

  defp go_on(%{running: running, limit: limit} = state, spare) when map_size(running) < limit + spare,
    do: state |> begin_next() |> go_on(spare)

  defp go_on(%{looking: true} = state, _spare), do: state

  defp go_on(state, _spare) do
    Process.send_after(self(), :look, @look_again_ms)
    go_on(%{state | looking: true}, demanding(state))
  end

  # How many runs wait for demands of their own.
  defp demanding(state) do
    pids = MapSet.new(state.running, fn {_key, {pid, _monitor, _facts}} -> pid end)
    Demands.demanding(state.instance, pids)
  end

  defp begin_next(state) do
    {{:value, key}, order} = :queue.out(state.order)

    case Map.pop(state.waiting, key) do
      # It was cancelled.
      {nil, _waiting} -> %{state | order: order}
      {start, waiting} -> begin(%{state | order: order, waiting: waiting}, key, start)
    end
  end

  defp begin(state, key, {module, inputs, facts}) do
    options = [restart: :temporary, shutdown: :brutal_kill]
    facts = Map.put(facts, :answered, :atomics.new(1, []))
    {:ok, pid} = Task.Supervisor.start_child(state.tasks, Calling, :run, [module, inputs, facts], options)
    monitor = Process.monitor(pid)
    running = Map.put(state.running, key, {pid, monitor, facts})
    %{state | running: running, runs: Map.put(state.runs, monitor, key)}
  end

  defp stop(state, key) do
    case Map.pop(state.running, key) do
      {nil, _running} ->
        %{state | waiting: Map.delete(state.waiting, key)}

      {{pid, monitor, _facts}, running} ->
        Process.demonitor(monitor, [:flush])
        Process.exit(pid, :kill)
        %{state | running: running, runs: Map.delete(state.runs, monitor)}
    end
  end

  # -- answers for those who cannot --------------------------------------------------------------------------------

  defp fail(%{wire: {port, credit}, call: call} = facts, fault) do
    with {:error, :overloaded} <- Writer.try_write(port, credit, Messages.host_failed(call, fault), :reserve),
         do: Process.send_after(self(), {:fail, facts, fault}, @write_again_ms)
  end
end
