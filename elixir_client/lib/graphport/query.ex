defmodule Graphport.Query do
  # Asks an engine for facts. Runs in the calling process, like a demand: a row, a write, and the answer by an alias, so
  # that nothing is left in the mailbox. What is asked of an instance does not wait for an engine that is down; what is
  # asked of a session goes to the engine that has it, where it is loaded anew if need be, as for a demand.
  @moduledoc false

  alias Graphport.{Caller, Error, Instance, Session}
  alias Graphport.Instance.{Demands, Janitor, Pool}
  alias Graphport.Port.{Parts, Writer}
  alias Graphport.Wire.Messages

  # A question in parts, without a deadline: how long each of them may wait.
  @stall_ms 5_000

  @spec nodes(atom, map) :: {:ok, [map]} | {:error, Error.t()}
  def nodes(name, options) do
    args = if options.type, do: %{"type" => options.type}, else: %{}
    ask(name, "nodes", options.timeout, fn instance, _deadline -> any_engine(instance, args) end)
  end

  @doc "Asks every engine that is up for its metrics, one after the other; one that ends meanwhile has none."
  @spec metrics(atom, map) :: {:ok, [map]} | {:error, Error.t()}
  def metrics(name, options) do
    deadline = Writer.deadline(options.timeout)

    with {:ok, instance} <- Instance.fetch(name),
         {:ok, _pipe} <- pipe(Pool.any(instance)),
         do: metrics(name, Pool.all(instance), %{"reset" => options.reset}, deadline, [])
  rescue
    error in ArgumentError -> Caller.stopped(name, error, __STACKTRACE__)
  end

  defp metrics(_name, [], _args, _deadline, answers), do: {:ok, Enum.reverse(answers)}

  defp metrics(name, [{index, place} | others], args, deadline, answers) do
    this_one = fn _instance, _deadline -> {:ok, place, args, fn -> :no_other end} end

    case ask(name, "metrics", Writer.left_ms(deadline), this_one) do
      {:ok, answer} -> metrics(name, others, args, deadline, [Map.put(answer, "engine", index) | answers])
      {:error, %Error{code: :engine_down}} -> metrics(name, others, args, deadline, answers)
      {:error, _error} = failed -> failed
    end
  end

  @doc "Asks for the graph of a session, or for a drawing of it."
  @spec about(Session.t(), :graph | :mermaid | :dot, map) :: {:ok, term} | {:error, Error.t()}
  def about(session, :graph, options),
    do: ask_about(session, "graph", %{"format" => options.format}, options.timeout)

  def about(session, drawing, options) do
    ask_about(session, Atom.to_string(drawing), %{"timings" => timings(options.events)}, options.timeout)
  end

  @doc "Asks something about a session; its number in the engine goes with the arguments."
  @spec ask_about(Session.t(), String.t(), map, timeout) :: {:ok, term} | {:error, Error.t()}
  def ask_about(session, what, args, timeout),
    do: ask(session.instance, what, timeout, &engine_of(&1, session, args, &2))

  # What a run made of its nodes; the last word on a node counts.
  defp timings(events),
    do: for({node, event} <- events, timing = timing(event), into: %{}, do: {node, timing})

  defp timing(%{"event" => "started"}), do: %{"state" => "running"}

  defp timing(%{"event" => state} = event) when state in ~w(completed cached skipped failed),
    do: %{"state" => state, "us" => event["us"]}

  defp timing(_tells_nothing), do: nil

  defp any_engine(instance, args) do
    with {:ok, place} <- pipe(Pool.any(instance)), do: {:ok, place, args, fn -> :no_other end}
  end

  defp engine_of(instance, session, args, deadline) do
    with {:ok, route} <- Caller.route(instance, session, deadline) do
      {_session, _pid, wire_id, epoch, port, credit, _broadcaster} = route
      args = Map.put(args, "session", wire_id)
      {:ok, {epoch, port, credit}, args, fn -> :ets.delete_object(instance.routes, route) end}
    end
  end

  @spec ask(atom, String.t(), timeout, function) :: {:ok, term} | {:error, Error.t()}
  defp ask(name, what, timeout, place) do
    deadline = Writer.deadline(timeout)

    with {:ok, instance} <- Instance.fetch(name) do
      ref = :erlang.monitor(:process, instance.table, alias: :reply_demonitor)

      try do
        with {:ok, id} <- send_query(instance, what, place, ref, deadline),
             do: await(instance, id, ref, deadline)
      after
        Process.demonitor(ref, [:flush])
      end
    end
  rescue
    error in ArgumentError -> Caller.stopped(name, error, __STACKTRACE__)
  end

  # `place` gives an engine's pipe, the arguments for it, and what to do if that engine has gone: it gives `:no_other` if
  # there is none to ask instead.
  defp send_query(instance, what, place, ref, deadline) do
    id = System.unique_integer([:positive])

    with {:ok, {epoch, port, credit}, args, forget} <- place.(instance, deadline),
         {:ok, frame} <- question(id, what, args) do
      Demands.insert(instance, Demands.row(id, ref, {:ref, ref}, self(), nil, false, epoch))
      Janitor.watch(instance, self())

      with {:error, reason} <- write(instance, port, credit, frame, id, deadline),
           {:ok, _row} <- Demands.take(instance, id) do
        # The engine may have parts of it.
        Janitor.cancel(instance, id, epoch)

        if reason == :closed and forget.() != :no_other,
          do: send_query(instance, what, place, ref, deadline),
          else: {:error, not_written(reason)}
      else
        # Written, or the row was taken by whoever answers.
        _answer_comes -> {:ok, id}
      end
    end
  end

  defp question(id, what, args), do: Messages.query(id, what, args)

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
