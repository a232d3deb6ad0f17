defmodule Graphport.Instance.Demands do
  # The table of open demands, and of requests under way. **Whoever takes a row sends its one last message**: engine
  # owner (answer, or end of the epoch), janitor (dead caller: none to send), or the caller itself (failed write,
  # time-out). Plain functions over ETS; they run in all of these processes.
  @moduledoc false

  alias Graphport.Error
  alias Graphport.Instance
  alias Graphport.Instance.Audience
  alias Graphport.Wire.Messages

  # {id, destination, wrap, watched, node, stream, first ports, epoch, events, audience}; element 1 is the key.
  @first_ports 7

  @typedoc "Where messages go: a pid, or an alias made by a monitor."
  @type destination :: pid | reference

  @typedoc """
  `:plain` sends the message itself, `{:ref, term}` sends `{term, message}`, `{:tag, term}` sends
  `{:graphport, term, message}`.
  """
  @type wrap :: :plain | {:ref, term} | {:tag, term}

  @typedoc "What was demanded, as it was given; nil for a request, which is no demand."
  @type target :: String.t() | [String.t()] | nil

  @typedoc "Which chunks go to the destination. A list of nodes only where the engine sends more than these."
  @type stream :: boolean | :all | [String.t()]

  @typedoc "Whether events go to the destination; `:outputs` for a watch without them, whose outputs come unasked too."
  @type events :: boolean | :outputs

  # The table copies a row out for every chunk, and a list of a thousand nodes costs much; a long binary is shared.
  @typep kept_target :: String.t() | nil | {:packed, binary}
  @type row ::
          {pos_integer, destination, wrap, pid, kept_target, stream, map, Instance.epoch(), events,
           Audience.t()}

  @spec row(pos_integer, destination, wrap, pid, target, stream, Instance.epoch(), events, Audience.t()) ::
          row
  def row(id, destination, wrap, watched, node, stream, epoch, events \\ false, audience \\ nil),
    do: {id, destination, wrap, watched, pack(node), stream, %{}, epoch, events, audience}

  defp pack(nodes) when is_list(nodes), do: {:packed, :erlang.term_to_binary(nodes)}
  defp pack(node), do: node

  defp target({:packed, nodes}), do: :erlang.binary_to_term(nodes)
  defp target(node), do: node

  @spec insert(Instance.t(), row) :: true
  def insert(instance, row), do: :ets.insert(instance.demands, row)

  @doc "Takes a row; the one caller that gets it sends the last message."
  @spec take(Instance.t(), pos_integer) :: {:ok, row} | :gone
  def take(instance, id) do
    case :ets.take(instance.demands, id) do
      [row] -> {:ok, row}
      [] -> :gone
    end
  end

  @spec lookup(Instance.t(), pos_integer) :: {:ok, row} | :gone
  def lookup(instance, id) do
    case :ets.lookup(instance.demands, id) do
      [row] -> {:ok, row}
      [] -> :gone
    end
  end

  @doc "Whether a row is there to be taken."
  @spec open?(Instance.t(), pos_integer) :: boolean
  def open?(instance, id), do: :ets.member(instance.demands, id)

  @doc "The same, by the engine of an epoch."
  @spec open?(Instance.t(), pos_integer, Instance.epoch()) :: boolean
  def open?(%{owners: [_one]} = instance, id, _epoch), do: open?(instance, id)

  def open?(instance, id, epoch),
    do: match?([row] when elem(row, 7) == epoch, :ets.lookup(instance.demands, id))

  @doc """
  Passes a message of the engine of an epoch on to whom it is for, if the demand or request is open and was sent there.

  One process at a time does this for one demand: the engine owner, or the process to which it gave a transfer.
  """
  @spec pass_on(Instance.t(), Messages.incoming(), Instance.epoch()) :: term
  def pass_on(instance, {:node_stream, id, node, port, chunk}, epoch),
    do: chunk(instance, id, node, port, chunk, epoch)

  # For nodes of the app, which another process runs. Without it, the owner ends too.
  def pass_on(instance, message, epoch) when elem(message, 0) in [:host_call, :host_cancel, :host_more] do
    send(instance.host, {message, epoch})
  rescue
    ArgumentError -> :gone
  end

  def pass_on(instance, {:node_event, id, node, event}, epoch), do: event(instance, id, node, event, epoch)

  def pass_on(instance, {:node_output, id, _node, outputs}, epoch),
    do: watched(instance, id, {:ok, outputs}, epoch)

  def pass_on(instance, {:node_failed, id, _node, error}, epoch),
    do: watched(instance, id, {:error, Error.from_wire(error)}, epoch)

  def pass_on(instance, {:demand_complete, id, _node, outputs, status}, epoch) do
    with {:ok, row} <- take(instance, id, epoch), do: complete(row, outputs, status)
  end

  def pass_on(instance, {:demand_error, id, _node, error}, epoch) do
    with {:ok, row} <- take(instance, id, epoch), do: fail(row, Error.from_wire(error))
  end

  def pass_on(instance, {:reply, id, result}, epoch) do
    with {:ok, row} <- take(instance, id, epoch), do: reply(row, result)
  end

  def pass_on(instance, {:error, id, error}, epoch) when id != nil do
    with {:ok, row} <- take(instance, id, epoch), do: fail(row, Error.from_wire(error))
  end

  # The row stays: the demand goes on.
  defp watched(instance, id, told, epoch) do
    case :ets.lookup(instance.demands, id) do
      [row] when elem(row, 7) == epoch and elem(row, 4) != nil ->
        node = target(elem(row, 4))

        case told do
          {:ok, outputs} -> deliver(row, {:node_output, node, outputs})
          {:error, error} -> deliver(row, {:node_failed, node, error})
        end

        if elem(row, 9) != nil, do: Audience.told(elem(row, 9), node, told)

      _other_engine_or_gone ->
        :ok
    end
  end

  # Only where there are others can the row be another engine's; it must not leave the table then.
  defp take(%{owners: [_one]} = instance, id, _epoch), do: take(instance, id)

  defp take(instance, id, epoch) do
    case :ets.lookup(instance.demands, id) do
      [row] when elem(row, 7) == epoch -> take(instance, id)
      _gone_or_foreign -> :gone
    end
  end

  @spec deliver(row, term) :: term
  def deliver(row, message) do
    case {elem(row, 1), elem(row, 2)} do
      {destination, :plain} -> send(destination, message)
      {destination, {:ref, ref}} -> send(destination, {ref, message})
      {destination, {:tag, tag}} -> send(destination, {:graphport, tag, message})
    end
  end

  defp reply(row, result) when elem(row, 4) == nil, do: deliver(row, {:reply, result})
  defp reply(row, _result), do: fail(row, wrong_kind("a demand", "a reply"))

  @doc "The last message of a demand that is done."
  @spec complete(row, map, Messages.status()) :: term
  def complete(row, _outputs, _status) when elem(row, 4) == nil,
    do: fail(row, wrong_kind("a request", "a demand_complete"))

  def complete(row, outputs, {status, provenance}) do
    deliver(row, {:node_event, "", Map.put(provenance, "event", "provenance")})
    complete(row, outputs, status)
  end

  def complete(row, outputs, status) do
    node = target(elem(row, 4))
    deliver(row, {:demand_complete, node, outputs})
    if elem(row, 9) != nil, do: Audience.completed(elem(row, 9), row, node, outputs, status)
  end

  defp wrong_kind(asked, answer), do: Error.new(:bad_message, "the engine answered #{asked} with #{answer}")

  @doc "The last message of a row that failed."
  @spec fail(row, Error.t()) :: term
  def fail(row, error) when elem(row, 4) == nil, do: deliver(row, {:error, error})

  def fail(row, error) do
    deliver(row, {:demand_error, target(elem(row, 4)), error})
    drop(row, error)
  end

  @doc "The end of a row whose destination is told nothing, or knows: for those who listen besides."
  @spec drop(row, Error.t()) :: term
  def drop(row, _error) when elem(row, 9) == nil, do: :ok
  def drop(row, error), do: Audience.failed(elem(row, 9), row, target(elem(row, 4)), error)

  @doc """
  Passes a chunk on, if the demand wants it: only the first streaming port seen of each node, unless it asked for all.

  See `pass_on/2`: the first port is noted by one process at a time.
  """
  @spec chunk(Instance.t(), pos_integer, String.t(), String.t(), term, Instance.epoch()) :: term
  def chunk(instance, id, node, port, chunk, epoch) do
    case :ets.lookup(instance.demands, id) do
      # A broadcaster hears too.
      [{_id, _to, _wrap, _watched, _node, _stream, _ports, ^epoch, _events, {_, _, _}} = row] ->
        overheard_chunk(instance, row, node, port, chunk)

      [{_id, _to, _wrap, _watched, _node, true, %{^node => ^port}, ^epoch, _events, _audience} = row] ->
        deliver(row, {:node_stream, node, chunk})

      [{_id, _to, _wrap, _watched, _node, true, ports, ^epoch, _events, _audience} = row]
      when not is_map_key(ports, node) ->
        note_first(instance, row, node, port)
        deliver(row, {:node_stream, node, chunk})

      [{_id, _to, _wrap, _watched, _node, :all, _ports, ^epoch, _events, _audience} = row] ->
        deliver(row, {:node_stream, node, {port, chunk}})

      _other_port_or_engine_or_gone ->
        :ok
    end
  end

  # The engine sends every chunk then, whether the destination wants it or not.
  defp overheard_chunk(instance, row, node, port, chunk) do
    first = Map.get(elem(row, 6), node)
    if first == nil, do: note_first(instance, row, node, port)
    first? = first in [nil, port]
    stream = elem(row, 5)

    cond do
      stream == :all ->
        deliver(row, {:node_stream, node, {port, chunk}})

      first? and (stream == true or (stream != false and node in stream)) ->
        deliver(row, {:node_stream, node, chunk})

      true ->
        :ok
    end

    if first?, do: Audience.chunk(elem(row, 9), node, chunk)
  end

  defp note_first(instance, row, node, port),
    do: :ets.update_element(instance.demands, elem(row, 0), {@first_ports, Map.put(elem(row, 6), node, port)})

  @doc "Passes an event on, if the demand asked for events."
  @spec event(Instance.t(), pos_integer, String.t(), map, Instance.epoch()) :: term
  def event(instance, id, node, event, epoch) do
    case :ets.lookup(instance.demands, id) do
      [row] when elem(row, 7) == epoch ->
        if elem(row, 8) == true, do: deliver(row, {:node_event, node, event})
        if elem(row, 9) != nil, do: Audience.event(elem(row, 9), id, node, event)

      _other_engine_or_gone ->
        :ok
    end
  end

  @doc "Fails every row of an epoch, of an engine, or of all, but those of the ids in `except`."
  @spec fail_all(Instance.t(), Instance.epoch() | {:engine, non_neg_integer} | :all, Error.t(), [pos_integer]) ::
          :ok
  def fail_all(instance, which, error, except \\ []) do
    guards =
      case which do
        :all -> []
        {:engine, index} -> [{:==, Instance.engine_of(:"$3"), index}]
        epoch -> [{:==, :"$3", epoch}]
      end

    ids = :ets.select(instance.demands, [{row_pattern(), guards, [:"$1"]}])

    Enum.each(ids -- except, fn id ->
      with {:ok, row} <- take(instance, id), do: fail(row, error)
    end)
  end

  @doc "Ids and epochs of the rows whose watched process is in the set."
  @spec of_watched(Instance.t(), MapSet.t(pid)) :: [{pos_integer, Instance.epoch()}]
  def of_watched(instance, pids) do
    for {id, pid, epoch} <- :ets.select(instance.demands, [{row_pattern(), [], [{{:"$1", :"$2", :"$3"}}]}]),
        MapSet.member?(pids, pid),
        do: {id, epoch}
  end

  @doc "How many of these processes have a demand open."
  @spec demanding(Instance.t(), MapSet.t(pid)) :: non_neg_integer
  def demanding(instance, pids), do: instance |> watched() |> MapSet.intersection(pids) |> MapSet.size()

  @doc "Ids, receivers and epochs of the demands that send chunks, progress or a watch's outputs to a process as they come."
  @spec streams(Instance.t()) :: [{pos_integer, pid, Instance.epoch()}]
  def streams(instance) do
    pattern = {:"$1", :"$2", :_, :_, :_, :"$4", :_, :"$3", :"$5", :_}
    guards = [{:is_pid, :"$2"}, {:orelse, {:"/=", :"$4", false}, {:"/=", :"$5", false}}]
    :ets.select(instance.demands, [{pattern, guards, [{{:"$1", :"$2", :"$3"}}]}])
  end

  @doc "The watched processes of all rows."
  @spec watched(Instance.t()) :: MapSet.t(pid)
  def watched(instance), do: MapSet.new(:ets.select(instance.demands, [{row_pattern(), [], [:"$2"]}]))

  @doc "How many demands and requests are open."
  @spec count(Instance.t()) :: non_neg_integer
  def count(instance), do: :ets.info(instance.demands, :size)

  @doc "How many of them are an epoch's."
  @spec count(Instance.t(), Instance.epoch()) :: non_neg_integer
  def count(instance, epoch),
    do: :ets.select_count(instance.demands, [{row_pattern(), [{:==, :"$3", epoch}], [true]}])

  @doc "Whether a broadcaster will hear of any of them."
  @spec heard_by?(Instance.t(), pid) :: boolean
  def heard_by?(instance, broadcaster) do
    heard = put_elem(row_pattern(), 9, {broadcaster, :_, :_})
    :ets.select_count(instance.demands, [{heard, [], [true]}]) > 0
  end

  defp row_pattern, do: {:"$1", :_, :_, :"$2", :_, :_, :_, :"$3", :_, :_}
end
