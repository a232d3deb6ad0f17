defmodule Graphport.LogHandler do
  # A Logger handler that sends a test the lines of its own instance: `{:log, level, text, metadata}`.
  @moduledoc false

  @doc "Sends the calling test what is logged for the instance from now on."
  def attach(name) do
    handler = :"#{name} handler"
    :ok = :logger.add_handler(handler, __MODULE__, %{config: %{to: self(), name: name}})
    ExUnit.Callbacks.on_exit(fn -> :logger.remove_handler(handler) end)
  end

  @doc false
  def log(
        %{level: level, msg: {:string, text}, meta: %{graphport: name} = meta},
        %{config: %{to: pid, name: name}}
      ),
      do: send(pid, {:log, level, IO.chardata_to_string(text), meta})

  def log(_event, _config), do: :ok
end
