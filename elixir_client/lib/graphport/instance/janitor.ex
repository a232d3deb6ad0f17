defmodule Graphport.Instance.Janitor do
  # Cleans up after those who cannot do it themselves:
  #   - callers that died: one monitor per caller; their open demands are cancelled, in batches;
  #   - engines that outlive their owner or their pipe: killed with SIGKILL after a grace, unless the OS has given their
  #     process id to somebody else;
  #   - sessions whose process was killed: closed;
  #   - the tables, if their owner was killed: kept until all others have ended.
  # Must not route or answer anything. Callers tell it of themselves (`watch/2`), the engine owner of its engine.
  @moduledoc false
  use GenServer

  alias Graphport.{Error, Instance}
  alias Graphport.Instance.{Demands, Pool, Table}
  alias Graphport.Port.{OsProcess, Pipe, Writer}
  alias Graphport.Wire.{Encoder, Messages}

  @kill_grace_ms 500
  @sweep_ms 10_000
  @retry_ms 20
  # Messages of one batch frame: far below the longest frame.
  @messages_per_frame 500

  @spec start_link(atom) :: GenServer.on_start()
  def start_link(name) do
    GenServer.start_link(__MODULE__, name, name: Instance.process_name(name, :janitor))
  end

  @doc "Makes sure that a process is monitored. Call it after its demand's row is inserted."
  @spec watch(Instance.t(), pid) :: :ok
  def watch(instance, pid) do
    # The row says that a monitor exists. The janitor removes it before it looks for rows of demands to decide whether
    # the monitor is still needed, so one of the two always sees the other.
    unless :ets.member(instance.watched, pid), do: send(instance.janitor, {:watch, pid})
    :ok
  rescue
    # The janitor is being restarted: the new one watches all rows it finds.
    ArgumentError -> :ok
  end

  @doc "Cancels a demand for a caller who had no credit to do so."
  @spec cancel(Instance.t(), pos_integer, Instance.epoch()) :: term
  def cancel(instance, id, epoch), do: notify(instance, {:cancel, id, epoch})

  @doc "Closes a session in the engine for one who had no credit to do so. Nobody gets an answer."
  @spec close(Instance.t(), pos_integer, Instance.epoch()) :: term
  def close(instance, wire_id, epoch), do: notify(instance, {:close, wire_id, epoch})

  @doc "The calling process is a session's: should it be killed, what it has loaded is closed."
  @spec session_started(Instance.t()) :: term
  def session_started(instance), do: notify(instance, {:session_started, self()})

  @doc "The calling process, a session's, has its place there now, and is about to load its graph."
  @spec session_loads(Instance.t(), pos_integer, Instance.epoch()) :: term
  def session_loads(instance, wire_id, epoch),
    do: notify(instance, {:session_loads, self(), {wire_id, epoch}})

  @doc "The calling process, a session's, ends in good order, and has told the engine itself."
  @spec session_ends(Instance.t()) :: term
  def session_ends(instance), do: notify(instance, {:session_ends, self()})

  @doc "The calling process owns this engine."
  @spec engine_started(Instance.t(), Pipe.t()) :: term
  def engine_started(instance, pipe), do: notify(instance, {:engine_started, self(), pipe})

  @doc "The pipe of this engine is closed: the process must end by itself, or else."
  @spec engine_ended(Instance.t(), Pipe.t()) :: term
  def engine_ended(instance, pipe) do
    # Without a janitor, which is being restarted then, somebody else has to do it.
    if notify(instance, {:engine_ended, pipe}) == :gone, do: spawn(fn -> bury_later(pipe) end)
  end

  defp notify(instance, message) do
    send(instance.janitor, message)
  rescue
    ArgumentError -> :gone
  end

  defp bury_later(pipe) do
    receive after: (@kill_grace_ms -> Pipe.bury(pipe))
  end

  @impl GenServer
  def init(name) do
    Process.flag(:trap_exit, true)
    {:ok, instance} = Instance.fetch(name)
    Table.inherit(instance)
    :ets.delete_all_objects(instance.watched)
    for pid <- Demands.watched(instance), do: send(self(), {:watch, pid})
    Process.send_after(self(), :sweep, @sweep_ms)

    # monitors: pid => monitor; dead: callers to clean up after; unsent: cancels and closes that found no credit,
    # {what, id} => epoch; engines: pipe => monitor of its owner; owners: the other way round; loading: session => where it is, or was last.
    {:ok,
     %{
       instance: instance,
       monitors: %{},
       dead: MapSet.new(),
       unsent: %{},
       retrying: false,
       engines: %{},
       owners: %{},
       loading: %{}
     }}
  end

  @impl GenServer
  def handle_info({:watch, pid}, state) when is_map_key(state.monitors, pid) do
    :ets.insert(state.instance.watched, {pid})
    {:noreply, state}
  end

  def handle_info({:watch, pid}, state) do
    monitor = Process.monitor(pid)
    :ets.insert(state.instance.watched, {pid})
    {:noreply, put_in(state.monitors[pid], monitor)}
  end

  def handle_info({:DOWN, monitor, :process, pid, _reason}, state) do
    case state.owners do
      %{^monitor => engine} ->
        {:noreply, reap_later(engine, update_in(state.owners, &Map.delete(&1, monitor)))}

      _caller ->
        {:noreply, caller_died(pid, state)}
    end
  end

  def handle_info({:session_started, pid}, state) do
    :erlang.monitor(:process, pid, tag: :session_down)
    {:noreply, state}
  end

  def handle_info({:session_loads, pid, where}, state), do: {:noreply, put_in(state.loading[pid], where)}

  def handle_info({:session_ends, pid}, state), do: {:noreply, drop_session(state, pid)}

  # The reason says nothing of one that had ended before it was monitored.
  def handle_info({:session_down, _monitor, :process, pid, _reason}, state) do
    with %{^pid => where} <- state.loading, do: session_killed(state.instance, pid, where)
    {:noreply, drop_session(state, pid)}
  end

  # Comes after all the DOWN messages that were waiting with the first one.
  def handle_info(:bury, state) do
    cancels =
      for {id, epoch} <- Demands.of_watched(state.instance, state.dead),
          {:ok, row} <- [Demands.take(state.instance, id)],
          into: state.unsent do
        Demands.drop(row, Error.new(:cancelled, "the process that demanded it has ended"))
        {{:cancel, id}, epoch}
      end

    {:noreply, send_out(%{state | dead: MapSet.new(), unsent: cancels})}
  end

  # With a retry to come there was no credit a moment ago: what is asked meanwhile waits for it, and costs next to
  # nothing, however many ask.
  def handle_info({what, id, epoch}, state) when what in [:cancel, :close] do
    state = put_in(state.unsent[{what, id}], epoch)
    {:noreply, if(state.retrying, do: state, else: send_out(state))}
  end

  def handle_info(:retry, state), do: {:noreply, send_out(%{state | retrying: false})}

  def handle_info({:engine_started, owner, engine}, state) do
    monitor = Process.monitor(owner)

    {:noreply,
     %{
       state
       | engines: Map.put(state.engines, engine, monitor),
         owners: Map.put(state.owners, monitor, engine)
     }}
  end

  def handle_info({:engine_ended, engine}, state) do
    {:noreply, reap_later(engine, state)}
  end

  def handle_info({:reap, engine}, state) do
    spawn(Pipe, :bury, [engine])
    {monitor, engines} = Map.pop(state.engines, engine)
    if monitor, do: Process.demonitor(monitor, [:flush])
    {:noreply, %{state | engines: engines, owners: Map.delete(state.owners, monitor)}}
  end

  def handle_info(:sweep, state) do
    Process.send_after(self(), :sweep, @sweep_ms)
    {:noreply, sweep_monitors(state)}
  end

  def handle_info(_other, state), do: {:noreply, state}

  # The owner is gone by now, and its pipe with it: wait for the engines to end by themselves, then kill.
  @impl GenServer
  def terminate(_reason, state) do
    engines = started_meanwhile(Map.keys(state.engines))
    await_end(engines, Writer.deadline(@kill_grace_ms))
    Enum.each(engines, &Pipe.bury/1)
    # A killed process is still there for a moment.
    await_end(engines, Writer.deadline(@kill_grace_ms))
  end

  defp caller_died(pid, state) do
    if MapSet.size(state.dead) == 0, do: send(self(), :bury)
    :ets.delete(state.instance.watched, pid)
    %{state | dead: MapSet.put(state.dead, pid), monitors: Map.delete(state.monitors, pid)}
  end

  defp reap_later(engine, state) do
    Process.send_after(self(), {:reap, engine}, @kill_grace_ms)
    state
  end

  # What is of an epoch that is over need not be sent.
  defp send_out(%{unsent: unsent} = state) when unsent == %{}, do: state

  defp send_out(state) do
    by_epoch = Enum.group_by(state.unsent, &elem(&1, 1), &elem(&1, 0))
    retry_later(%{state | unsent: Map.new(Enum.flat_map(by_epoch, &send_out(&1, state.instance)))})
  end

  defp send_out({epoch, messages}, instance) do
    with {port, credit} <- Instance.pipe(instance, epoch) do
      messages |> Enum.chunk_every(@messages_per_frame) |> send_frames(epoch, port, credit)
    else
      :gone -> []
    end
  end

  defp send_frames([], _epoch, _port, _credit), do: []

  defp send_frames([messages | rest] = chunks, epoch, port, credit) do
    frame = [Encoder.list_header(length(messages)) | Enum.map(messages, &packed/1)]

    case Writer.try_write(port, credit, frame, :reserve) do
      :ok ->
        send_frames(rest, epoch, port, credit)

      {:error, :overloaded} ->
        for messages <- chunks, message <- messages, do: {message, epoch}

      {:error, :closed} ->
        []
    end
  end

  defp packed({:cancel, id}), do: Messages.cancel(id)
  defp packed({:close, wire_id}), do: Messages.close(System.unique_integer([:positive]), wire_id)

  defp retry_later(%{unsent: unsent, retrying: false} = state) when unsent != %{} do
    Process.send_after(self(), :retry, @retry_ms)
    %{state | retrying: true}
  end

  defp retry_later(state), do: state

  # Callers without an open demand need no monitor. See `watch/2` for the order. One that has a row, but was killed before
  # it could tell of itself, is dead when the monitor is made, and is cleaned up after like any other.
  defp sweep_monitors(state) do
    %{watched: watched} = state.instance
    Enum.each(state.monitors, fn {pid, _monitor} -> :ets.delete(watched, pid) end)
    needed = Demands.watched(state.instance)
    {kept, idle} = Enum.split_with(state.monitors, fn {pid, _monitor} -> MapSet.member?(needed, pid) end)
    Enum.each(kept, fn {pid, _monitor} -> :ets.insert(watched, {pid}) end)
    Enum.each(idle, fn {_pid, monitor} -> Process.demonitor(monitor, [:flush]) end)
    for pid <- needed, not is_map_key(state.monitors, pid), do: send(self(), {:watch, pid})
    %{state | monitors: Map.new(kept)}
  end

  defp session_killed(instance, pid, {wire_id, epoch}) do
    :ets.match_delete(instance.routes, {:_, pid, :_, :_, :_, :_, :_})
    Pool.leave(instance, epoch)
    close(instance, wire_id, epoch)
  end

  defp drop_session(state, pid), do: %{state | loading: Map.delete(state.loading, pid)}

  defp started_meanwhile(engines) do
    receive do
      {:engine_started, _owner, engine} -> started_meanwhile([engine | engines])
    after
      0 -> engines
    end
  end

  defp await_end(engines, deadline) do
    if Writer.left_ms(deadline) > 0 and
         Enum.any?(engines, &OsProcess.alive?(&1.os_pid, &1.start_time)) do
      receive after: (5 -> :ok)
      await_end(engines, deadline)
    end
  end
end
