defmodule Graphport.Instance.Transfers do
  # The messages that are coming in parts, by demand or request: which part is next, which whole is being decoded, and
  # what of the same demand came after it and has to wait. State of the engine owner, who alone calls this; checks
  # what PROTOCOL.md §1 says of parts. Never waits: collecting and decoding is done by a `Transfer` process each.
  @moduledoc false

  import Graphport.Wire.Limits

  alias Graphport.Instance
  alias Graphport.Instance.{Demands, Transfer}
  alias Graphport.Wire.Messages

  # parts: {process, next seq, bytes so far} of what is coming; decoding: the process that has a whole; held: what
  # came after that whole, messages and further wholes.
  @none %{parts: nil, decoding: nil, held: :queue.new()}

  @type t :: %{optional(Messages.id()) => map}

  @doc "Takes a part in. What is for a demand or request that is over, or another epoch's, is dropped."
  @spec part(t, Instance.t(), Messages.incoming(), Instance.epoch()) :: {:ok, t} | {:fault, String.t()}
  def part(transfers, instance, {:part, id, seq, last, bytes}, epoch) do
    if id >= first_call() or Demands.open?(instance, id, epoch) do
      entry = Map.get(transfers, id, @none)
      start = fn -> Transfer.start(instance, id, epoch) end

      with {:ok, process, size} <- expected(entry.parts, seq, byte_size(bytes), id, transfers, start) do
        Transfer.add(process, bytes)
        {:ok, Map.put(transfers, id, added(entry, last, {process, seq + 1, size}))}
      end
    else
      {:ok, drop(transfers, id)}
    end
  end

  defp expected(nil, 0, size, _id, transfers, start) do
    if map_size(transfers) < max_transfers() or coming(transfers) < max_transfers(),
      do: {:ok, start.(), size},
      else: {:fault, "more than #{max_transfers()} messages in parts at once"}
  end

  defp expected({_process, seq, so_far}, seq, size, id, _transfers, _start)
       when so_far + size > max_value_bytes(),
       do: {:fault, "a message in parts, of #{id}, with more than #{max_value_bytes()} bytes"}

  defp expected({process, seq, so_far}, seq, size, _id, _transfers, _start),
    do: {:ok, process, so_far + size}

  defp expected(nil, seq, _size, id, _transfers, _start),
    do: {:fault, "part #{seq} of #{id} without a first part"}

  defp expected({_process, next, _size}, seq, _bytes, id, _transfers, _start),
    do: {:fault, "part #{seq} of #{id} instead of part #{next}"}

  defp coming(transfers), do: Enum.count(transfers, fn {_id, entry} -> entry.parts != nil end)

  defp added(entry, false, parts), do: %{entry | parts: parts}

  defp added(%{decoding: nil} = entry, true, {process, _next, _size}) do
    Transfer.finish(process)
    %{entry | parts: nil, decoding: process}
  end

  defp added(entry, true, {process, _next, _size}),
    do: %{entry | parts: nil, held: :queue.in({:whole, process}, entry.held)}

  @doc "Keeps a message back if a whole of the same demand is being decoded."
  @spec hold(t, Messages.incoming()) :: {:held, t} | :pass
  def hold(_transfers, message) when elem(message, 0) in [:part, :credit, :pong], do: :pass

  # A call that has not come as a whole is over before it has begun.
  def hold(transfers, {:host_cancel, call}) when is_map_key(transfers, call) do
    case transfers do
      %{^call => %{decoding: nil}} ->
        {:held, drop(transfers, call)}

      %{^call => entry} ->
        {:held,
         Map.put(transfers, call, %{entry | held: :queue.in({:message, {:host_cancel, call}}, entry.held)})}
    end
  end

  def hold(transfers, message) do
    id = elem(message, 1)

    case transfers do
      %{^id => %{decoding: process} = entry} when process != nil ->
        {:held, Map.put(transfers, id, %{entry | held: :queue.in({:message, message}, entry.held)})}

      _other ->
        :pass
    end
  end

  @doc "Takes note that a process has ended. `:unknown` if it was decoding nothing that is still of use."
  @spec ended(t, Messages.id(), pid) :: {:ok, t} | :unknown
  def ended(transfers, id, process) do
    case transfers do
      %{^id => %{decoding: ^process} = entry} -> {:ok, put(transfers, id, %{entry | decoding: nil})}
      %{^id => %{parts: {^process, _next, _size}} = entry} -> {:ok, put(transfers, id, %{entry | parts: nil})}
      %{^id => entry} -> lost(transfers, id, entry, :queue.member({:whole, process}, entry.held))
      _other -> :unknown
    end
  end

  # One that was killed by somebody else: without its message, what follows is of no use.
  defp lost(transfers, id, entry, true), do: {:ok, put(transfers, id, abandon(entry))}
  defp lost(_transfers, _id, _entry, false), do: :unknown

  @doc "The next message that was kept back, if it is its turn. A whole whose turn it is gets decoded."
  @spec next(t, Messages.id()) :: {:message, Messages.incoming(), t} | {:none, t}
  def next(transfers, id) do
    with %{^id => %{decoding: nil} = entry} <- transfers,
         {{:value, item}, held} <- :queue.out(entry.held) do
      case item do
        {:message, message} ->
          {:message, message, put(transfers, id, %{entry | held: held})}

        {:whole, process} ->
          Transfer.finish(process)
          {:none, put(transfers, id, %{entry | held: held, decoding: process})}
      end
    else
      _busy_or_empty -> {:none, transfers}
    end
  end

  @doc "Drops what is coming for demands and requests that are over."
  @spec sweep(t, Instance.t()) :: t
  def sweep(transfers, instance) do
    Enum.reduce(transfers, transfers, fn {id, _entry}, transfers ->
      if id >= first_call() or Demands.open?(instance, id), do: transfers, else: drop(transfers, id)
    end)
  end

  @doc "Drops all but what is being decoded: these processes, each with its demand or request, end by themselves."
  @spec stop(t) :: [{pid, Messages.id()}]
  def stop(transfers) do
    for {id, entry} <- transfers, process = abandon(entry).decoding, do: {process, id}
  end

  defp drop(transfers, id) do
    case transfers do
      %{^id => entry} -> put(transfers, id, abandon(entry))
      _none -> transfers
    end
  end

  defp abandon(entry) do
    with {process, _next, _size} <- entry.parts, do: Process.exit(process, :kill)
    for {:whole, process} <- :queue.to_list(entry.held), do: Process.exit(process, :kill)
    %{entry | parts: nil, held: :queue.new()}
  end

  defp put(transfers, id, %{parts: nil, decoding: nil, held: held} = entry) do
    if :queue.is_empty(held), do: Map.delete(transfers, id), else: Map.put(transfers, id, entry)
  end

  defp put(transfers, id, entry), do: Map.put(transfers, id, entry)
end
