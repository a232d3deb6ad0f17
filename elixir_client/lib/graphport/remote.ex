defmodule Graphport.Remote do
  # Everything that has a process or an instance of another BEAM node in it: an Erlang port and the tables can be used
  # on their own node only. A demand goes through two processes, a `Relay` on the caller's node and a `Proxy` on the
  # engine's; any other call is made there by a process of its own. Called by `Graphport`, which takes the short way when
  # all is on this node. The caller itself sends nothing across, so a network that takes nothing suspends it never, and
  # each wait here has the caller's deadline.
  #
  # Only modules, names and data travel, no functions: the other node may run another version of this code.
  @moduledoc false

  alias Graphport.{Aside, Caller, Demand, Error, Session}
  alias Graphport.Instance.SessionServer
  alias Graphport.Port.Writer
  alias Graphport.Remote.{Errand, Relay}

  # What has no time-out of its own.
  @call_timeout_ms 5_000
  # How much longer than the other side this one waits for its answer.
  @answer_grace_ms 100

  @type instance :: {atom, node}

  @doc "Whether a process lives on another node."
  @spec pid?(term) :: boolean
  def pid?(pid), do: is_pid(pid) and node(pid) != node()

  # -- demands ---------------------------------------------------------------------------------------------------

  @doc "`Graphport.Caller.demand_async/3` where the session, or the receiver, is of another node."
  @spec demand_async(Session.t(), Demand.target(), map) :: {:ok, Demand.t()} | {:error, Error.t()}
  def demand_async(session, node, options) do
    to = if options.to == :caller, do: self(), else: options.to
    deadline = Writer.deadline(options.timeout)
    {relay, ref} = Relay.start(session, node, options, {:messages, to, options.tag})
    answer = started(relay, ref, node, deadline)
    forget(ref)

    with {:ok, id} <- answer do
      Relay.go(relay, ref)
      {:ok, %Demand{ref: id, node: node, session: session}}
    end
  end

  @doc "`Graphport.Caller.demand/3` of a session of another node."
  @spec demand(Session.t(), Demand.target(), map) :: {:ok, map} | {:error, Error.t()}
  def demand(session, node, options) do
    deadline = Writer.deadline(options.timeout)
    {relay, ref} = Relay.start(session, node, options, :answer)

    answer = await(relay, ref, node, deadline)
    forget(ref)
    answer
  end

  defp await(relay, ref, node, deadline) do
    receive do
      {^ref, {:demand_complete, _node, outputs}} -> {:ok, outputs}
      {^ref, {:demand_error, node, error}} -> {:error, Caller.error(node, error)}
      {^ref, {:refused, error}} -> {:error, error}
      {:DOWN, ^ref, :process, _relay, reason} -> {:error, Caller.error(node, ended(reason))}
    after
      Caller.patience(deadline) -> {:error, given_up(relay, node)}
    end
  end

  @doc """
  Starts a demand whose chunks are granted one by one, with `Relay.grant/2`. Its messages come as `{ref, message}`, the end
  of its relay as the `:DOWN` of `ref`. Whoever wants no more stops the relay, and forgets `ref`.
  """
  @spec stream(Session.t(), Demand.target(), map) :: {:ok, pid, reference} | {:error, Error.t()}
  def stream(session, node, options) do
    {relay, ref} = Relay.start(session, node, options, :chunks)

    case started(relay, ref, node, Writer.deadline(options.timeout)) do
      {:ok, _id} ->
        {:ok, relay, ref}

      {:error, error} ->
        forget(ref)
        {:error, error}
    end
  end

  defp started(relay, ref, node, deadline) do
    receive do
      {^ref, {:started, id}} -> {:ok, id}
      {^ref, {:refused, error}} -> {:error, error}
      {:DOWN, ^ref, :process, _relay, reason} -> {:error, ended(reason)}
    after
      Caller.patience(deadline) -> {:error, given_up(relay, node)}
    end
  end

  # With the relay its proxy ends, and the janitor over there cancels the demand.
  defp given_up(relay, node) do
    Relay.stop(relay)
    Caller.deadline_exceeded(node)
  end

  defp ended(reason), do: Error.new(:internal_error, "the demand's relay ended: #{inspect(reason)}")

  @doc "Nothing more comes by `ref`, and nothing of it stays in the mailbox."
  @spec forget(reference) :: :ok
  def forget(ref) do
    Process.demonitor(ref, [:flush])
    flush(ref)
  end

  defp flush(ref) do
    receive do
      {^ref, _message} -> flush(ref)
    after
      0 -> :ok
    end
  end

  @doc "Cancels a demand of another node. `:ok` at once: a process of its own says it there."
  @spec cancel(Demand.t()) :: :ok
  def cancel(%Demand{session: session} = demand) do
    spawn(:erpc, :cast, [node(session.pid), Errand, :cancel, [demand]])
    :ok
  end

  # -- other calls -----------------------------------------------------------------------------------------------

  @doc "Closes a session of another node."
  @spec close(Session.t()) :: :ok
  def close(session) do
    node = node(session.pid)
    _ = at(node, @call_timeout_ms, fn -> Errand.send_to(node, :call, [SessionServer, :close, [session]]) end)
    :ok
  end

  @doc "Opens a session there. One whose opener has given up meanwhile is closed again."
  @spec open(instance, map, pid | :none, map) :: {:ok, Session.t()} | {:error, Error.t()}
  def open({name, node}, graph, owner, options) do
    case at(node, options.timeout, fn -> Errand.send_to(node, :open, [name, graph, owner, options]) end) do
      {:raise, message} -> raise ArgumentError, message
      answer -> answer
    end
  end

  @doc "Calls a function there, with the instance's name as first argument."
  @spec call(instance, module, atom, [term], timeout) :: {:ok, term} | {:error, Error.t()}
  def call({name, node}, module, function, args, timeout \\ @call_timeout_ms) do
    at(node, timeout, fn -> Errand.send_to(node, :call, [module, function, [name | args]]) end)
  end

  @doc "Calls a function there that takes a session, and options or whatever else follows."
  @spec about(Session.t(), module, atom, [term], timeout) :: {:ok, term} | {:error, Error.t()}
  def about(session, module, function, args, timeout) do
    there = node(session.pid)
    at(there, timeout, fn -> Errand.send_to(there, :call, [module, function, [session | args]]) end)
  end

  defp at(node, timeout, errand) do
    wait = if timeout == :infinity, do: :infinity, else: timeout + @answer_grace_ms

    case Aside.run(errand, wait) do
      {:ok, answer} ->
        answer

      {:exit, reason} ->
        {:error, Error.new(:internal_error, "the call of node #{node} failed: #{inspect(reason)}")}

      nil ->
        {:error, Error.new(:deadline_exceeded, "node #{node} did not answer in time")}
    end
  end
end
