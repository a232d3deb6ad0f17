defmodule Graphport.Topics do
  # A PubSub of the tests: `broadcast/3` as Phoenix.PubSub has it, on a Registry that each test starts for itself. A topic
  # may be made to do what user code does: raise, exit, kill its process, refuse, wait.
  @moduledoc false

  @doc "Starts one under the test's supervisor and subscribes the test to a topic."
  def start(name, topic) do
    name = :"#{name} topics"
    ExUnit.Callbacks.start_supervised!({Registry, keys: :duplicate, name: name})
    subscribe(name, topic)
    name
  end

  def subscribe(name, topic), do: {:ok, _} = Registry.register(name, topic, nil)

  def broadcast(_name, "raise", _message), do: raise("no such topic")
  def broadcast(_name, "exit", _message), do: exit(:no_such_topic)
  def broadcast(_name, "killed", {:workflow_stream, _node, _chunk}), do: Process.exit(self(), :kill)
  def broadcast(_name, "refuse", _message), do: {:error, :refused}

  # The subscribers are asked to let each message through.
  def broadcast(name, "slow" <> _ = topic, message) do
    Registry.dispatch(name, topic, fn subscribers ->
      for {pid, _value} <- subscribers, do: send(pid, {:may, self()})
    end)

    receive do
      :may -> dispatch(name, topic, message)
    end
  end

  def broadcast(name, topic, message), do: dispatch(name, topic, message)

  defp dispatch(name, topic, message) do
    Registry.dispatch(name, topic, fn subscribers ->
      for {pid, _value} <- subscribers, do: send(pid, message)
    end)
  end
end

# Stands in for the library where it is not installed.
unless Code.ensure_loaded?(Phoenix.PubSub) do
  defmodule Phoenix.PubSub do
    @moduledoc false

    def child_spec(name: name), do: Registry.child_spec(keys: :duplicate, name: name)

    def subscribe(name, topic) when is_atom(name) and is_binary(topic) do
      {:ok, _} = Registry.register(name, topic, nil)
      :ok
    end

    def broadcast(name, topic, message) when is_atom(name) and is_binary(topic),
      do: Graphport.Topics.broadcast(name, topic, message)
  end
end
