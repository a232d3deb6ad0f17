defmodule Graphport.Instance.SessionUpdates do
  # The updates of one session, one after the other, and its graph with those folded in that an engine has accepted. State
  # of a `SessionServer`, which says where the session is loaded; its process is the one that writes, and is answered.
  #
  # Of a graph in a shape of an editor's the engine is asked for what it has become: only it knows how to read that.
  @moduledoc false

  alias Graphport.{Edit, Error, Instance}
  alias Graphport.Instance.{Demands, Janitor, SessionRequest}
  alias Graphport.Wire.Messages

  # Edits that are kept before they are folded in: each folding goes through the whole graph.
  @folded_at_most 500

  # current: {:update, request, from, edits} or {:fetch, request, from, facts}; accepted: edits, the last first.
  defstruct [:graph, queue: :queue.new(), current: nil, accepted: [], count: 0, own?: nil, revision: 1]

  @type t :: %__MODULE__{}

  @spec new(map) :: t
  def new(graph), do: %__MODULE__{graph: graph}

  @doc "Takes in edits, or the answer of a person: `{:answer, node, value}`."
  @spec add(t, GenServer.from(), [map] | {:answer, String.t(), term}) :: t
  def add(updates, from, what), do: %{updates | queue: :queue.in({from, what}, updates.queue)}

  @doc "Whether something is to be sent, and nothing is on its way."
  @spec waiting?(t) :: boolean
  def waiting?(updates), do: updates.current == nil and not :queue.is_empty(updates.queue)

  @doc "Answers all that wait, and what is on its way too."
  @spec refuse_all(t, {:error, Error.t()}) :: t
  def refuse_all(updates, answer) do
    for {from, _edits} <- :queue.to_list(updates.queue), do: reply(from, answer)
    with {_kind, _request, from, _what} <- updates.current, do: reply(from, answer)
    %{updates | queue: :queue.new(), current: nil}
  end

  @doc "Answers those that wait."
  @spec refuse_waiting(t, {:error, Error.t()}) :: t
  def refuse_waiting(updates, answer) do
    for {from, _edits} <- :queue.to_list(updates.queue), do: reply(from, answer)
    %{updates | queue: :queue.new()}
  end

  @doc "The graph as it is now, and the updates that keep it so."
  @spec graph(t) :: {map, t}
  def graph(%{accepted: []} = updates), do: {updates.graph, updates}

  def graph(updates) do
    graph = Edit.Fold.fold(updates.graph, Enum.reverse(updates.accepted))
    {graph, %{updates | graph: graph, accepted: [], count: 0}}
  end

  @doc "Sends the next update. `:closed`: not sent, for the engine has gone."
  @spec send_next(t, Instance.route(), Instance.t()) :: {:ok | :closed, t}
  def send_next(updates, {_id, _pid, wire_id, epoch, port, credit, _broadcaster}, instance) do
    {{:value, {from, edits}}, queue} = :queue.out(updates.queue)
    request = System.unique_integer([:positive])

    with {:ok, frame} <- message(edits, request, wire_id),
         :ok <- send_request(frame, request, {epoch, port, credit}, instance) do
      {:ok, %{updates | queue: queue, current: {:update, request, from, edits}}}
    else
      :closed ->
        {:closed, updates}

      {:error, _error} = failed ->
        reply(from, failed)
        {:ok, %{updates | queue: queue}}
    end
  end

  defp message({:answer, node, value}, request, wire_id), do: Messages.decide(request, wire_id, node, value)
  defp message(edits, request, wire_id), do: Messages.update(request, wire_id, edits)

  defp send_request(frame, request, {epoch, port, credit}, instance) do
    Demands.insert(instance, Demands.row(request, self(), {:ref, request}, self(), nil, false, epoch))

    with {:error, reason} <- SessionRequest.write(frame, request, port, credit, instance),
         {:ok, _row} <- Demands.take(instance, request) do
      # The engine may have parts of it.
      Janitor.cancel(instance, request, epoch)
      if reason == :closed, do: :closed, else: {:error, overloaded()}
    else
      # Written, or whoever took the row has sent what came of it.
      _answer_comes -> :ok
    end
  end

  defp overloaded, do: Error.new(:overloaded, "the engine did not take the edits in time")

  @doc "Takes an answer, if it is that to the update on its way."
  @spec answered(t, pos_integer, term, Instance.route() | nil, Instance.t()) :: {:ok, t} | :unknown
  def answered(
        %{current: {_kind, request, from, _what}} = updates,
        request,
        {:error, _error} = failed,
        _route,
        _of
      ) do
    reply(from, failed)
    {:ok, %{updates | current: nil}}
  end

  # An answer to a node goes into the graph too, before any other update: of two, the last counts in every engine.
  def answered(
        %{current: {:update, request, from, {:answer, node, value}}} = updates,
        request,
        {:reply, %{"resumed" => resumed}},
        _route,
        _of
      ) do
    edits = Edit.to_wire!({:set, node, %{"user_response" => value}})
    queue = :queue.in_r({{:answered, from, resumed}, edits}, updates.queue)
    {:ok, %{updates | current: nil, queue: queue}}
  end

  def answered(
        %{current: {:update, request, from, edits}} = updates,
        request,
        {:reply, facts},
        route,
        instance
      ) do
    updates = %{updates | current: nil}

    case updates.own? || (updates.own? == nil and Edit.Fold.own?(updates.graph)) do
      true ->
        reply(from, {:ok, facts(facts)})
        {:ok, accept(%{updates | own?: true, revision: facts["revision"]}, edits)}

      false ->
        {:ok, fetch(%{updates | own?: false}, from, facts, route, instance)}
    end
  end

  def answered(
        %{current: {:fetch, request, from, facts}} = updates,
        request,
        {:reply, graph},
        _route,
        _instance
      ) do
    reply(from, {:ok, facts(facts)})
    {:ok, %{updates | current: nil, graph: graph, own?: true, revision: facts["revision"]}}
  end

  def answered(_updates, _request, _answer, _route, _instance), do: :unknown

  defp accept(updates, edits) do
    updates = %{
      updates
      | accepted: Enum.reverse(edits, updates.accepted),
        count: updates.count + length(edits)
    }

    if updates.count > @folded_at_most, do: updates |> graph() |> elem(1), else: updates
  end

  defp fetch(updates, from, facts, {_id, _pid, wire_id, epoch, port, credit, _broadcaster}, instance) do
    request = System.unique_integer([:positive])
    {:ok, frame} = Messages.query(request, "graph", %{"session" => wire_id, "format" => "json"})

    case send_request(frame, request, {epoch, port, credit}, instance) do
      :ok ->
        %{updates | current: {:fetch, request, from, facts}}

      # With the engine the edits are gone.
      :closed ->
        reply(
          from,
          {:error, Error.new(:engine_down, "the engine ended before the update was done")}
        )

        updates

      {:error, _error} = failed ->
        reply(from, failed)
        updates
    end
  end

  defp facts(facts) do
    %{
      revision: facts["revision"],
      dirty: facts["dirty"],
      dirty_count: facts["dirty_count"],
      nodes: facts["nodes"],
      sinks: facts["sinks"]
    }
  end

  defp reply({:answered, from, resumed}, {:ok, _facts}), do: GenServer.reply(from, {:ok, resumed})
  defp reply({:answered, from, _resumed}, failed), do: GenServer.reply(from, failed)
  defp reply(from, answer), do: GenServer.reply(from, answer)
end
