defmodule Graphport.Remote.Errand do
  # One call made on another node, without a demand: `send_to/3` on this side, `run/3` on the other. Called by
  # `Graphport.Remote` in a process of its own, which may be suspended by the connection, or killed.
  @moduledoc false

  alias Graphport.{Caller, Demand, Error, Instance, PubSub, Session}
  alias Graphport.Instance.SessionServer
  alias Graphport.Remote.{Ending, Proxy}

  @doc "Does one of the functions here on another node, and returns its answer."
  @spec send_to(node, :open | :call, [term]) :: {:ok, term} | {:error, Error.t()}
  def send_to(node, function, args) do
    request = :erlang.spawn_request(node, __MODULE__, :run, [self(), function, args], [:monitor])

    receive do
      {:spawn_reply, ^request, :ok, pid} -> await(request, pid, node)
      {:spawn_reply, ^request, :error, reason} -> {:error, Ending.error(node, reason)}
    end
  end

  defp await(request, pid, node) do
    receive do
      {^pid, answer} ->
        send(pid, :taken)
        answer

      {:DOWN, ^request, :process, _pid, reason} ->
        {:error, Ending.error(node, reason)}
    end
  end

  @doc false
  @spec run(pid, :open | :call, [term]) :: term
  def run(client, :open, args) do
    monitor = Process.monitor(client)
    answer = apply(__MODULE__, :open, args)
    send(client, {self(), answer})

    receive do
      :taken -> :ok
      {:DOWN, ^monitor, :process, _client, _reason} -> undo(answer)
    end
  end

  def run(client, :call, [module, function, args]), do: send(client, {self(), apply(module, function, args)})

  @doc false
  @spec open(atom, map, pid | :none, map) :: {:ok, Session.t()} | {:error, Error.t()} | {:raise, String.t()}
  def open(name, graph, owner, options) do
    with {:ok, instance} <- Instance.fetch(name),
         {:ok, topic} <- topic(options, instance.pubsub),
         do: SessionServer.open(instance, graph, owner, options.name, options.timeout, topic)
  end

  # What a topic is broadcast by must be there, and not here.
  defp topic(options, default) do
    {:ok, PubSub.target!(options, default)}
  rescue
    error in ArgumentError -> {:raise, error.message}
  end

  @doc "Cancels a demand of this node."
  @spec cancel(Demand.t()) :: :ok
  def cancel(%Demand{session: session} = demand) do
    if Proxy.ours?(session), do: Caller.cancel(demand), else: :ok
  end

  # Whoever asked has given up, or is gone.
  defp undo({:ok, session}), do: SessionServer.close(session)
  defp undo({_error_or_raise, _what}), do: :ok
end
