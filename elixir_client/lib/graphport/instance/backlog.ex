defmodule Graphport.Instance.Backlog do
  # What a session's broadcasts wait in while `broadcast/3` is slower than they come. Pure; state of the `Broadcaster`.
  #
  # Chunks of text of one node are joined, in order, so a stream takes one place whatever its length; not across an
  # output or an error, which may be the end of that stream. Past a bound of bytes or places chunks are dropped and
  # counted. Outputs and errors are kept always.
  @moduledoc false

  @max_bytes 8 * 1024 * 1024
  @max_chunks 10_000

  # items: number => item, from `first` to before `next`; open: node => number of the item its text may be joined to.
  defstruct items: %{}, first: 0, next: 0, open: %{}, bytes: 0, chunks: 0, dropped: 0

  @type item ::
          {:workflow_stream, String.t(), term}
          | {:workflow_output, String.t(), map}
          | {:workflow_error, String.t(), Exception.t()}
  @type t :: %__MODULE__{}

  @spec new() :: t
  def new, do: %__MODULE__{}

  @spec empty?(t) :: boolean
  def empty?(backlog), do: backlog.first == backlog.next

  @doc "Adds an item at the end, or a chunk to one that waits."
  @spec add(t, item) :: t
  def add(backlog, {:workflow_stream, node, chunk}) do
    size = size(chunk)

    cond do
      backlog.bytes + size > @max_bytes or backlog.chunks >= @max_chunks ->
        %{backlog | dropped: backlog.dropped + 1}

      is_binary(chunk) and is_map_key(backlog.open, node) ->
        items = Map.update!(backlog.items, backlog.open[node], &join(&1, chunk, size))
        %{backlog | items: items, bytes: backlog.bytes + size}

      true ->
        number = backlog.next

        {kind, open} =
          if is_binary(chunk),
            do: {:text, Map.put(backlog.open, node, number)},
            else: {:value, Map.delete(backlog.open, node)}

        backlog = put(backlog, {kind, node, chunk, size})
        %{backlog | open: open, bytes: backlog.bytes + size, chunks: backlog.chunks + 1}
    end
  end

  def add(backlog, ending), do: put(%{backlog | open: %{}}, ending)

  defp join({:text, node, text, so_far}, chunk, size), do: {:text, node, [text | chunk], so_far + size}

  defp put(backlog, item),
    do: %{backlog | items: Map.put(backlog.items, backlog.next, item), next: backlog.next + 1}

  @doc "Takes up to so many items, the oldest first."
  @spec take(t, pos_integer) :: {[item], t}
  def take(backlog, most), do: take(backlog, most, [])

  defp take(backlog, most, taken) when most == 0 or backlog.first == backlog.next,
    do: {Enum.reverse(taken), backlog}

  defp take(backlog, most, taken) do
    {item, items} = Map.pop!(backlog.items, backlog.first)
    backlog = %{backlog | items: items, first: backlog.first + 1}
    {item, backlog} = leave(item, backlog)
    take(backlog, most - 1, [item | taken])
  end

  defp leave({kind, node, chunk, size}, backlog) do
    open = if backlog.open[node] == backlog.first - 1, do: Map.delete(backlog.open, node), else: backlog.open

    chunk = if kind == :text, do: IO.iodata_to_binary(chunk), else: chunk
    backlog = %{backlog | open: open, bytes: backlog.bytes - size, chunks: backlog.chunks - 1}
    {{:workflow_stream, node, chunk}, backlog}
  end

  defp leave(ending, backlog), do: {ending, backlog}

  @doc "How many chunks were dropped since this was asked last."
  @spec dropped(t) :: {non_neg_integer, t}
  def dropped(backlog), do: {backlog.dropped, %{backlog | dropped: 0}}

  defp size(chunk) when is_binary(chunk), do: byte_size(chunk)
  defp size(chunk), do: :erlang.external_size(chunk)
end
