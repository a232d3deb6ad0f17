defmodule Graphport.Instance.Mailboxes do
  # Keeps processes that do not read from being flooded. A receiver of `Graphport.demand_async/3` that has too many
  # messages unread has its streams shut in the engine, which keeps what it streams and then holds its nodes back, until
  # most of them are read. Looks when the engine owners say that much has come (`look/1`), and, while something is
  # shut, every few milliseconds; an idle instance costs nothing. Apart from the owners, because to look at another
  # process's mailbox can mean to wait for that process. Last messages and events other than progress always pass.
  @moduledoc false
  use GenServer

  require Logger

  alias Graphport.{Error, Instance}
  alias Graphport.Instance.{Demands, Janitor}
  alias Graphport.Port.Writer
  alias Graphport.Wire.Messages

  @most_unread 10_000
  @reopen_below 5_000
  # Time between two looks at who is shut: doubling, as long as nothing is read.
  @first_wait_ms 1
  @longest_wait_ms 64
  # Who has read nothing for so long is written about in the log, and then waited for no more: whoever shares a node with
  # one whose stream is shut waits too.
  @warn_after_ms 5_000
  @give_up_after_ms 15_000

  @spec start_link(atom) :: GenServer.on_start()
  def start_link(name),
    do: GenServer.start_link(__MODULE__, name, name: Instance.process_name(name, :mailboxes))

  @doc "Much has come from an engine: some mailbox may be long."
  @spec look(Instance.t()) :: term
  def look(instance) do
    send(instance.mailboxes, :look)
  rescue
    # It is being restarted, and looks then.
    ArgumentError -> :gone
  end

  @doc "How many unread messages shut a process's streams, and below how many they are opened again."
  @spec limits() :: {pos_integer, pos_integer}
  def limits, do: {@most_unread, @reopen_below}

  # shut: pid => its demands, its unread messages at the last look, and since when they do not get fewer. A process before this one may have
  # shut any of them.
  @impl GenServer
  def init(name) do
    {:ok, instance} = Instance.fetch(name)
    shut = for {pid, ids} <- streams(instance, :all), into: %{}, do: {pid, entry(ids, 0)}
    {:ok, plan(%{instance: instance, shut: shut, wait_ms: @first_wait_ms, planned: false})}
  end

  @impl GenServer
  def handle_info(:look, state) do
    skip_looks()
    watched = :ets.tab2list(state.instance.watched)
    over = for {pid} <- watched, unread = unread(pid), unread > @most_unread, into: %{}, do: {pid, unread}
    {:noreply, if(over == %{}, do: state, else: shut(over, state))}
  end

  def handle_info(:tick, state) do
    {shut, progress} = Enum.flat_map_reduce(state.shut, false, &visit(&1, &2, state.instance))
    wait_ms = if progress, do: @first_wait_ms, else: min(state.wait_ms * 2, @longest_wait_ms)
    {:noreply, plan(%{state | shut: Map.new(shut), wait_ms: wait_ms, planned: false})}
  end

  def handle_info(_stray, state), do: {:noreply, state}

  defp skip_looks do
    receive do
      :look -> skip_looks()
    after
      0 -> :ok
    end
  end

  # Nil for a process that is gone or on another node.
  defp unread(pid) when node(pid) == node() do
    with {:message_queue_len, unread} <- Process.info(pid, :message_queue_len), do: unread
  end

  defp unread(_elsewhere), do: nil

  defp shut(over, state) do
    found =
      for {pid, ids} <- streams(state.instance, over), into: %{} do
        known = Map.get(state.shut, pid, entry(%{}, over[pid]))
        new = Map.drop(ids, Map.keys(known.ids))
        # Without credit now, the next look finds it again.
        done =
          for {id, epoch} <- new,
              hold(state.instance, id, epoch, true) == :ok,
              into: known.ids,
              do: {id, epoch}

        {pid, %{known | ids: done}}
      end

    plan(%{state | shut: Map.merge(state.shut, found), wait_ms: @first_wait_ms})
  end

  defp entry(ids, unread), do: %{ids: ids, unread: unread, since: Writer.now_ms(), warned: false}

  defp visit({pid, %{unread: before} = entry}, progress, instance) do
    ids = for {id, epoch} <- entry.ids, Demands.open?(instance, id), into: %{}, do: {id, epoch}
    unread = unread(pid)

    cond do
      ids == %{} or unread == nil ->
        {[], progress}

      unread < @reopen_below ->
        # Without credit now: in a moment.
        left = for {id, epoch} <- ids, hold(instance, id, epoch, false) != :ok, into: %{}, do: {id, epoch}
        {if(left == %{}, do: [], else: [{pid, %{entry | ids: left, unread: unread}}]), true}

      unread < before ->
        {[{pid, %{entry | ids: ids, unread: unread, since: Writer.now_ms()}}], true}

      Writer.now_ms() - entry.since > @give_up_after_ms ->
        Enum.each(ids, &give_up(&1, unread, instance))
        {[], progress}

      true ->
        # A demand can be shut before the engine has heard of it.
        if unread > before, do: for({id, epoch} <- ids, do: hold(instance, id, epoch, true))
        {[{pid, warn(pid, %{entry | ids: ids, unread: unread})}], progress}
    end
  end

  defp give_up({id, epoch}, unread, instance) do
    with {:ok, row} <- Demands.take(instance, id) do
      Demands.fail(row, Error.new(:overloaded, "the receiver has #{unread} unread messages, and reads none"))
      Janitor.cancel(instance, id, epoch)
    end
  end

  defp warn(pid, %{warned: false} = entry) do
    if Writer.now_ms() - entry.since > @warn_after_ms do
      Logger.warning(
        "#{inspect(pid)} has #{entry.unread} unread messages: the streams of #{map_size(entry.ids)} of its demands " <>
          "wait until it has read most of them. Use stream: false where only the outputs are wanted, or Graphport.stream/3"
      )

      %{entry | warned: true}
    else
      entry
    end
  end

  defp warn(_pid, entry), do: entry

  defp plan(%{planned: false, shut: shut} = state) when shut != %{} do
    Process.send_after(self(), :tick, state.wait_ms)
    %{state | planned: true}
  end

  defp plan(state), do: state

  defp streams(instance, pids) do
    for {id, pid, epoch} <- Demands.streams(instance), pids == :all or is_map_key(pids, pid), reduce: %{} do
      found -> Map.update(found, pid, %{id => epoch}, &Map.put(&1, id, epoch))
    end
  end

  # An engine that is gone has nothing to shut.
  defp hold(instance, id, epoch, shut?) do
    with {port, credit} <- Instance.pipe(instance, epoch),
         {:error, :overloaded} <- Writer.try_write(port, credit, Messages.hold(id, shut?), :reserve) do
      :overloaded
    else
      _written_or_gone -> :ok
    end
  end
end
