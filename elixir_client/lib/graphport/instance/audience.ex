defmodule Graphport.Instance.Audience do
  # Who hears of a demand besides the process that made it: the session's broadcaster, the instance's reporter. Part of the
  # demand's row; nil for most. Whoever passes a message of the demand on, or takes its row, tells them here: each gets a
  # copy sent, and nobody waits.
  @moduledoc false

  alias Graphport.{Error, Instance}
  alias Graphport.Instance.{Demands, Spans}
  alias Graphport.Wire.Messages

  # Those of nodes that a reporter makes spans of.
  @node_events ~w(started completed cached skipped failed)

  @typedoc "Reporter, and whether it wants the events of nodes; with a broadcaster before them if the session has one."
  @type t :: nil | {atom, boolean} | {pid, atom | nil, boolean}

  @spec new(pid | nil, Instance.telemetry() | nil) :: t
  def new(nil, nil), do: nil
  def new(nil, telemetry), do: {telemetry.reporter, telemetry.nodes?}
  def new(broadcaster, nil), do: {broadcaster, nil, false}
  def new(broadcaster, telemetry), do: {broadcaster, telemetry.reporter, telemetry.nodes?}

  @spec chunk({pid, atom | nil, boolean}, String.t(), term) :: term
  def chunk({broadcaster, _reporter, _events}, node, chunk),
    do: send(broadcaster, {:workflow_stream, node, chunk})

  @spec completed(t, Demands.row(), Demands.target(), map, Messages.status()) :: term
  def completed({reporter, _events}, row, _node, _outputs, status), do: ended(reporter, row, status)

  def completed({broadcaster, reporter, _events}, row, node, outputs, status) do
    output(broadcaster, node, outputs)
    ended(reporter, row, status)
  end

  @doc "What a watch tells, which goes on."
  @spec told(t, Demands.target(), {:ok, map} | {:error, Error.t()}) :: term
  def told({_reporter, _events}, _node, _told), do: :ok
  def told({broadcaster, _reporter, _events}, node, {:ok, outputs}), do: output(broadcaster, node, outputs)
  def told({broadcaster, _reporter, _events}, node, {:error, error}), do: error(broadcaster, node, error)

  @spec failed(t, Demands.row(), Demands.target(), Error.t()) :: term
  def failed({reporter, _events}, row, _node, error), do: ended(reporter, row, error)

  def failed({broadcaster, reporter, _events}, row, node, error) do
    error(broadcaster, node, error)
    ended(reporter, row, error)
  end

  @spec event(t, pos_integer, String.t(), map) :: term
  def event({reporter, true}, id, node, %{"event" => kind} = event) when kind in @node_events,
    do: Spans.node_event(reporter, id, node, event)

  def event({_broadcaster, reporter, true}, id, node, event), do: event({reporter, true}, id, node, event)
  def event(_audience, _id, _node, _event), do: :ok

  # The outputs of several nodes are one message each.
  defp output(pid, node, outputs) when is_list(node) or node == "*",
    do: Enum.each(outputs, fn {node, ports} -> send(pid, {:workflow_output, node, ports}) end)

  defp output(pid, node, outputs), do: send(pid, {:workflow_output, node, outputs})

  defp error(pid, nodes, error) when is_list(nodes),
    do: Enum.each(nodes, &send(pid, {:workflow_error, &1, error}))

  defp error(pid, node, error), do: send(pid, {:workflow_error, node, error})

  defp ended(nil, _row, _outcome), do: :ok
  defp ended(reporter, row, outcome), do: Spans.demand_ended(reporter, elem(row, 0), outcome)
end
