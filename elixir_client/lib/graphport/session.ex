defmodule Graphport.Session do
  @moduledoc """
  A loaded graph: what `Graphport.open/3` returns.

  A plain value; it may be sent to other processes, and any of them may demand nodes. The session closes when its
  `owner:` ends or `Graphport.close/1` is called. After an engine crash it is loaded anew on its next use. There is no
  port, table or counter in it, so it is as good on any other BEAM node. One that was opened with `name:` is found again
  with `Graphport.session/2`.

    * `:instance` - name of the instance it lives in.
    * `:id` - integer, unique in the life of its BEAM node.
    * `:pid` - process that keeps the graph.
  """

  @enforce_keys [:instance, :id, :pid]
  defstruct [:instance, :id, :pid]

  @type t :: %__MODULE__{instance: atom, id: pos_integer, pid: pid}

  defimpl Inspect do
    import Inspect.Algebra

    def inspect(session, opts) do
      concat(["#Graphport.Session<", to_string(session.id), ", ", to_doc(session.instance, opts), ">"])
    end
  end
end
