defmodule Graphport.Demand do
  @moduledoc """
  A demand under way: what `Graphport.demand_async/3` returns, and what `Graphport.cancel/1` takes.

  A plain value without any resource in it: keep it in a state, send it to another process, compare it. Any process may
  cancel with it, on any BEAM node. It does not keep the demand alive, and there is nothing to close.

    * `:ref` - integer, unique in the life of the engine's BEAM node; the tag of the demand's messages with `tag: true`.
    * `:node` - what was demanded: a node id, a list of them, or `"*"`.
    * `:session` - the `Graphport.Session` it was made in.
  """

  @enforce_keys [:ref, :node, :session]
  defstruct [:ref, :node, :session]

  @typedoc "A node id, a list of 1 to 1,000 different ids, or `\"*\"` for all sinks: nodes that no edge leaves."
  @type target :: String.t() | [String.t()]

  @type t :: %__MODULE__{ref: pos_integer, node: target, session: Graphport.Session.t()}

  defimpl Inspect do
    import Inspect.Algebra

    # The session is the same for many demands, and a list of nodes can be long.
    @nodes_shown 3

    def inspect(demand, opts) do
      node = to_doc(demand.node, %{opts | limit: @nodes_shown})
      concat(["#Graphport.Demand<", to_string(demand.ref), ", ", node, ">"])
    end
  end
end
