defmodule Graphport.Instance.Audience do
  # Who hears of a demand besides the process that made it: the session's broadcaster, the instance's reporter. Part of the
  # demand's row; nil for most. Whoever passes a message of the demand on, or takes its row, tells them here: each gets a
  # copy sent, and nobody waits.
  @moduledoc false

  alias Graphport.Error
  alias Graphport.Instance.{Broadcaster, Demands}

  @typedoc "Broadcaster; reporter; whether the reporter wants the events of nodes."
  @type t :: nil | {pid | nil, atom | nil, boolean}

  @spec chunk(t, String.t(), term) :: term
  def chunk({broadcaster, _reporter, _events}, node, chunk) do
    if broadcaster, do: Broadcaster.stream(broadcaster, node, chunk)
  end

  @spec completed(t, Demands.row(), Demands.target(), map) :: term
  def completed({broadcaster, _reporter, _events}, _row, node, outputs) do
    if broadcaster, do: Broadcaster.output(broadcaster, node, outputs)
  end

  @spec failed(t, Demands.row(), Demands.target(), Error.t()) :: term
  def failed({broadcaster, _reporter, _events}, _row, node, error) do
    if broadcaster, do: Broadcaster.error(broadcaster, node, error)
  end

  @spec event(t, pos_integer, String.t(), map) :: term
  def event({_broadcaster, _reporter, false}, _id, _node, _event), do: :ok
end
