defmodule Graphport.PubSub do
  # Which function broadcasts: reads the options `pubsub:` and `topic:`, looks for the module at run time, and raises
  # what is wrong in the process that gave them. Broadcasting itself is `Graphport.Instance.Broadcaster`'s.
  @moduledoc false

  @phoenix Phoenix.PubSub

  @typedoc "`module.broadcast(argument, topic, message)` is called."
  @type t :: {module, term}

  @doc "What the option `pubsub:` of `start_link/1` means. Raises `ArgumentError` if there is nothing to call."
  @spec find!(atom | {module, term} | nil) :: t | nil
  def find!(nil), do: nil

  def find!({module, argument}) do
    unless broadcasts?(module),
      do: raise(ArgumentError, "option :pubsub: #{inspect(module)}.broadcast/3 is not defined")

    {module, argument}
  end

  def find!(name) do
    cond do
      not broadcasts?(@phoenix) ->
        raise ArgumentError,
              "option :pubsub: #{inspect(name)} needs Phoenix.PubSub, which this app does not have; add " <>
                "{:phoenix_pubsub, \"~> 2.1\"} to its dependencies, or give {module, argument} for another module's broadcast/3"

      Process.whereis(name) == nil ->
        raise ArgumentError,
              "option :pubsub: no Phoenix.PubSub named #{inspect(name)} is running; start it before Graphport"

      true ->
        {@phoenix, name}
    end
  end

  @doc "Where a session with these options of `open/3` broadcasts; nil if it does not."
  @spec target!(%{pubsub: term, topic: String.t() | nil}, t | nil) :: {module, term, String.t()} | nil
  def target!(%{pubsub: nil, topic: nil}, _default), do: nil

  def target!(%{topic: nil}, _default),
    do: raise(ArgumentError, "option :pubsub of Graphport.open/3 needs a topic:")

  def target!(%{pubsub: given, topic: topic}, default) do
    case find!(given) || default do
      nil ->
        raise ArgumentError,
              "option :topic of Graphport.open/3 needs a pubsub:, there or in Graphport.start_link/1"

      {module, argument} ->
        {module, argument, topic}
    end
  end

  defp broadcasts?(module), do: Code.ensure_loaded?(module) and function_exported?(module, :broadcast, 3)
end
