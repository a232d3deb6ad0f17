defmodule Graphport.Instance.SessionRequest do
  # Puts what a session's process asks of its engine on the pipe: a graph, edits, an answer; in one frame or in parts. Runs
  # in that process, which waits meanwhile. Must not know what is asked. The row of the request is in the table already.
  @moduledoc false

  alias Graphport.Instance
  alias Graphport.Instance.{Demands, Janitor}
  alias Graphport.Port.{Credit, Parts, Pipe, Writer}
  alias Graphport.Wire.Messages

  @write_timeout_ms 5_000
  @parts_timeout_ms 20_000

  @doc "`:gone` if somebody has taken the row: an answer, or the engine's end, is on its way."
  @spec write(Messages.outgoing(), Messages.id(), Pipe.wire(), Credit.t(), Instance.t()) ::
          :ok | {:error, :overloaded | :closed | :gone}
  def write({:parts, _bytes, _ending} = parts, request, port, credit, instance) do
    # If this process is killed meanwhile, the engine is told to forget what it has.
    Janitor.watch(instance, self())

    Parts.write(port, credit, parts, %{
      id: request,
      wanted?: fn -> Demands.open?(instance, request) end,
      deadline: Writer.deadline(@parts_timeout_ms),
      stall_ms: @parts_timeout_ms
    })
  end

  def write(frame, _request, port, credit, _instance),
    do: Writer.write(port, credit, frame, :normal, Writer.deadline(@write_timeout_ms))
end
