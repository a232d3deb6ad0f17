defmodule Graphport.Query do
  # Asks the engine for facts. Runs in the calling process, like a demand: a row, a write, and the answer by an alias,
  # so that nothing is left in the mailbox. Asks nothing of sessions, and does not wait for an engine that is down.
  @moduledoc false

  alias Graphport.{Caller, Error, Instance}
  alias Graphport.Instance.{Demands, Janitor, Pool}
  alias Graphport.Port.{Parts, Writer}
  alias Graphport.Wire.Messages

  # A question in parts, without a deadline: how long each of them may wait.
  @stall_ms 5_000

  @spec nodes(atom, map) :: {:ok, [map]} | {:error, Error.t()}
  def nodes(name, options) do
    args = if options.type, do: %{"type" => options.type}, else: %{}
    ask(name, "nodes", args, options.timeout)
  end

  defp ask(name, what, args, timeout) do
    deadline = Writer.deadline(timeout)

    with {:ok, instance} <- Instance.fetch(name) do
      ref = :erlang.monitor(:process, instance.table, alias: :reply_demonitor)

      try do
        with {:ok, id} <- send_query(instance, what, args, ref, deadline),
             do: await(instance, id, ref, deadline)
      after
        Process.demonitor(ref, [:flush])
      end
    end
  rescue
    error in ArgumentError -> Caller.stopped(name, error, __STACKTRACE__)
  end

  defp send_query(instance, what, args, ref, deadline) do
    id = System.unique_integer([:positive])

    with {:ok, frame} <- Messages.query(id, what, args),
         {:ok, {epoch, port, credit}} <- pipe(Pool.any(instance)) do
      Demands.insert(instance, Demands.row(id, ref, {:ref, ref}, self(), nil, false, epoch))
      Janitor.watch(instance, self())

      with {:error, reason} <- write(instance, port, credit, frame, id, deadline),
           {:ok, _row} <- Demands.take(instance, id) do
        # The engine may have parts of it.
        Janitor.cancel(instance, id, epoch)
        {:error, not_written(reason)}
      else
        # Written, or the row was taken by whoever answers.
        _answer_comes -> {:ok, id}
      end
    end
  end

  defp write(instance, port, credit, {:parts, _bytes, _ending} = parts, id, deadline) do
    wanted? = fn -> Demands.open?(instance, id) end
    Parts.write(port, credit, parts, %{id: id, wanted?: wanted?, deadline: deadline, stall_ms: @stall_ms})
  end

  defp write(_instance, port, credit, frame, _id, deadline),
    do: Writer.write(port, credit, frame, :normal, deadline)

  defp pipe({:ok, _pipe} = up), do: up
  defp pipe({:error, error}), do: {:error, Error.new(:engine_down, error.message, retry_after_ms: 1_000)}

  defp not_written(:closed), do: Error.new(:engine_down, "the engine ended before it was asked")
  defp not_written(:overloaded), do: Error.new(:overloaded, "the engine did not take the question in time")

  defp await(instance, id, ref, deadline) do
    receive do
      {^ref, {:reply, result}} ->
        {:ok, result}

      {^ref, {:error, error}} ->
        {:error, error}

      {:DOWN, ^ref, :process, _table, _reason} ->
        {:error, Error.new(:engine_down, "the Graphport instance ended")}
    after
      Writer.left_ms(deadline) ->
        case Demands.take(instance, id) do
          {:ok, _row} -> {:error, Error.new(:deadline_exceeded, "the engine did not answer in time")}
          :gone -> await(instance, id, ref, :infinity)
        end
    end
  end
end
