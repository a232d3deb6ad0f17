defmodule Graphport.Remote.Proxy do
  # A demand's process on the engine's node, for a `Relay` on another: starts the demand as a local caller does, sends
  # its messages across, and passes the grants on that come back. It may be suspended by a busy connection, which the
  # engine's owner must never be; its window bounds what waits here then. Linked to the relay and trapping no exits: the
  # relay's end, or that of the connection, kills it wherever it is, and the janitor cancels the demand, as for any
  # caller that dies. Started by the relay, with `:erlang.spawn_request/5`.
  @moduledoc false

  alias Graphport.{Caller, Error, Instance, Session}

  @grant_again_ms 20

  @doc """
  Sends `{self(), message}` to the relay: `{:refused, error}`, or `{:started, id}` and then the messages of the demand,
  with `{port, chunk}` for chunks. Takes `{:grant, n}`.
  """
  @spec run(pid, Session.t(), Caller.target(), map) :: term
  def run(relay, session, node, options) do
    with {:ok, instance} <- instance(session),
         monitor = Process.monitor(instance.table),
         {:ok, id} <- start(instance, session, node, options) do
      send(relay, {self(), {:started, id}})
      loop(%{relay: relay, instance: instance, table: monitor, id: id, owed: 0})
    else
      {:error, error} -> send(relay, {self(), {:refused, error}})
    end
  end

  @doc """
  Whether a session's process runs on this node. The numbers in a handle of an earlier life of the node may be those of
  another session, or demand, by now.
  """
  @spec ours?(Session.t()) :: boolean
  def ours?(%Session{pid: pid}), do: node(pid) == node() and Process.alive?(pid)

  defp instance(session) do
    if ours?(session),
      do: Instance.fetch(session.instance),
      else: {:error, Error.new(:unknown_session, "the session is closed")}
  end

  defp start(instance, session, node, options) do
    Caller.start(instance, session, node, options, {self(), {:ref, self()}, self()})
  rescue
    error in ArgumentError -> Caller.stopped(session.instance, error, __STACKTRACE__)
  end

  defp loop(%{table: table} = state) do
    me = self()

    receive do
      {^me, message} ->
        # Waits here while the connection takes nothing.
        send(state.relay, {me, message})
        unless elem(message, 0) in [:demand_complete, :demand_error], do: loop(state)

      {:grant, n} ->
        loop(grant(%{state | owed: state.owed + n}))

      {:DOWN, ^table, :process, _table, _reason} ->
        exit({:shutdown, "the Graphport instance ended"})
    after
      if(state.owed > 0, do: @grant_again_ms, else: :infinity) -> loop(grant(state))
    end
  end

  defp grant(state) do
    case Caller.grant(state.instance, state.id, state.owed) do
      :ok -> %{state | owed: 0}
      :overloaded -> state
    end
  rescue
    # The tables are gone: the monitor says so.
    ArgumentError -> %{state | owed: 0}
  end
end
