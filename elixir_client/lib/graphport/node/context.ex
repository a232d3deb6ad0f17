defmodule Graphport.Node.Context do
  @moduledoc """
  What a run of a `Graphport.Node` is given beside its inputs.

    * `:instance` - the name of the instance, for demands of its own;
    * `:node`, `:type` - the node's id in its graph, and its type;
    * `:demand` - the `ref` of a demand that waits for it; others may too;
    * `:pid` - the process of the run.
  """

  @derive {Inspect, only: [:instance, :node, :type, :demand, :pid]}
  @enforce_keys [:instance, :node, :type, :demand, :pid, :call, :wire]
  defstruct @enforce_keys

  @type t :: %__MODULE__{
          instance: atom,
          node: String.t(),
          type: String.t(),
          demand: non_neg_integer,
          pid: pid,
          call: non_neg_integer,
          wire: {Graphport.Port.Pipe.wire(), Graphport.Port.Credit.t()}
        }
end
