defmodule Graphport.Demand do
  @moduledoc """
  A demand under way: what `Graphport.demand_async/3` returns, and what `Graphport.cancel/1` takes.

    * `:ref` - integer, unique in this BEAM node's life.
    * `:node` - id of the demanded node.
    * `:session` - the `Graphport.Session` it was made in.
  """

  @enforce_keys [:ref, :node, :session]
  defstruct [:ref, :node, :session]

  @type t :: %__MODULE__{ref: pos_integer, node: String.t(), session: Graphport.Session.t()}
end
