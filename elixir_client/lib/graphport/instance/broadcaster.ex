defmodule Graphport.Instance.Broadcaster do
  # Tells a topic what becomes of a session's demands; one process for each session that has one. Whoever passes a
  # demand's message on (the engine owner, a `Transfer`, whoever takes its row) sends a copy here and goes on. The user's
  # `broadcast/3` runs in a process beside this one (`Foreign`), so this one never waits: its mailbox stays short, and what
  # comes faster than it can be told waits in a bounded `Backlog`.
  #
  # It outlives its session until the last demand that it hears of has ended and all is told.
  @moduledoc false
  use GenServer, restart: :temporary, shutdown: 5_000

  require Logger

  alias Graphport.Instance
  alias Graphport.Instance.{Backlog, Demands, Foreign}
  alias Graphport.Port.Writer

  # A `broadcast/3` that takes longer is killed.
  @stall_ms 5_000
  # Few, since what was given out is not joined any more.
  @batch 16
  @look_again_ms 500
  # Of a stopping instance; less than the supervisor's patience.
  @drain_ms 4_000

  @type target :: {module, term, String.t()}

  @doc "Starts one for the calling session."
  @spec start(Instance.t(), target) :: {:ok, pid} | {:error, term}
  def start(instance, target) do
    args = %{instance: instance, target: target, session: self()}
    DynamicSupervisor.start_child(instance.broadcasters, {__MODULE__, args})
  catch
    :exit, reason -> {:error, reason}
  end

  @spec start_link(map) :: GenServer.on_start()
  def start_link(args), do: GenServer.start_link(__MODULE__, args)

  @impl GenServer
  def init(args) do
    Process.flag(:trap_exit, true)
    monitor = Process.monitor(args.session)
    foreign = Foreign.new(&tell(args.target, args.instance.name, &1), @stall_ms)
    args = Map.delete(args, :session)
    {:ok, Map.merge(args, %{monitor: monitor, foreign: foreign, backlog: Backlog.new(), leaving: false})}
  end

  @impl GenServer
  def handle_info({kind, _node, _value} = copy, state)
      when kind in [:workflow_stream, :workflow_output, :workflow_error],
      do: {:noreply, give(%{state | backlog: Backlog.add(state.backlog, copy)})}

  def handle_info({:DOWN, monitor, :process, _session, _reason}, %{monitor: monitor} = state) do
    send(self(), :leave?)
    {:noreply, %{state | leaving: true}}
  end

  # Whatever was sent before the last row was taken is in the mailbox by the next look.
  def handle_info(:leave?, state) do
    if idle?(state) and not heard?(state) do
      send(self(), :leave)
    else
      Process.send_after(self(), :leave?, @look_again_ms)
    end

    {:noreply, state}
  end

  def handle_info(:leave, state) do
    if idle?(state) do
      {:stop, :normal, state}
    else
      send(self(), :leave?)
      {:noreply, state}
    end
  end

  def handle_info(message, state), do: {:noreply, given(Foreign.handle(state.foreign, message), state)}

  # At shutdown all that will come has come: owners and sessions have ended before.
  @impl GenServer
  def terminate(:normal, _state), do: :ok
  def terminate(_reason, state), do: drain(state, Writer.deadline(@drain_ms))

  defp drain(state, deadline) do
    wait = if idle?(state), do: 0, else: Writer.left_ms(deadline)

    receive do
      {:EXIT, _pid, _reason} ->
        drain(state, deadline)

      # It is leaving already, and what lies behind these words is told too.
      leaving when leaving in [:leave, :leave?] ->
        drain(state, deadline)

      message ->
        {:noreply, state} = handle_info(message, state)
        drain(state, deadline)
    after
      wait -> Foreign.stop(state.foreign)
    end
  end

  defp idle?(state), do: Backlog.empty?(state.backlog) and Foreign.idle?(state.foreign)

  defp heard?(state) do
    Demands.heard_by?(state.instance, self())
  rescue
    # The instance is gone, and its demands with it.
    ArgumentError -> false
  end

  defp given({:ok, foreign}, state), do: give(%{state | foreign: foreign})
  defp given(:unknown, state), do: state

  defp given({:ended, reason, foreign}, state) do
    Logger.error("a broadcast of Graphport did not return: #{inspect(reason)}", graphport: state.instance.name)

    give(%{state | foreign: foreign})
  end

  defp give(state) do
    if Foreign.idle?(state.foreign) and not Backlog.empty?(state.backlog) do
      {items, backlog} = Backlog.take(state.backlog, @batch)
      report_dropped(%{state | backlog: backlog, foreign: Foreign.give(state.foreign, items)})
    else
      state
    end
  end

  defp report_dropped(state) do
    with {count, backlog} when count > 0 <- Backlog.dropped(state.backlog) do
      {_module, _argument, topic} = state.target

      Logger.warning(
        "#{count} chunks for topic #{inspect(topic)} were dropped: broadcasts were slower than they came",
        graphport: state.instance.name
      )

      %{state | backlog: backlog}
    else
      _none -> state
    end
  end

  # Runs in the process beside.
  defp tell({module, argument, topic}, name, message) do
    case module.broadcast(argument, topic, message) do
      {:error, reason} -> failed(name, topic, inspect(reason))
      _told -> :ok
    end
  catch
    kind, reason -> failed(name, topic, Exception.format(kind, reason, __STACKTRACE__))
  end

  defp failed(name, topic, text),
    do: Logger.error("a broadcast to topic #{inspect(topic)} failed: #{text}", graphport: name)
end
