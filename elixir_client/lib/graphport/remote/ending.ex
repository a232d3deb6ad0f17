defmodule Graphport.Remote.Ending do
  # What the end of a process on another node means to whoever waited for it. Pure. Called by `Relay` and `Errand`.
  @moduledoc false

  alias Graphport.Error

  @doc "From the reason it ended with, or was not started for."
  @spec error(node, term) :: Error.t()
  def error(node, reason) do
    case reason do
      :noconnection ->
        Error.new(:engine_down, "there is no connection to node #{node}", retry_after_ms: 1_000)

      {:undef, _stacktrace} ->
        Error.new(:unknown_instance, "node #{node} runs no Graphport of this version")

      {:shutdown, text} when is_binary(text) ->
        Error.new(:engine_down, "#{text} on node #{node}")

      other ->
        Error.new(:internal_error, "the process on node #{node} ended: #{inspect(other)}")
    end
  end
end
