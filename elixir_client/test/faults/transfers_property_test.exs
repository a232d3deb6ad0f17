defmodule Graphport.Faults.TransfersPropertyTest do
  # Messages in parts and whole ones, of several demands, interleaved in any way that keeps each demand's order: each
  # demand gets its chunks in their order, and its one last message last.
  use Graphport.Case, async: true

  import Graphport.Property

  alias Graphport.Bytes
  alias Graphport.Wire.Encoder

  @moduletag :proper

  test "arrive whole and in order however they are interleaved", %{name: name} do
    start_peer(name, drain_timeout: 1)
    {:ok, session} = Graphport.open(name, %{})
    message = type(:tuple, [[type(:integer, [0, 4]), type(:integer, [0, 300])]])
    demands = type(:list, [type(:list, [message])])
    order = type(:list, [type(:integer, [0, 1_000])])

    assert holds?(
             type(:tuple, [[demands, order]]),
             fn {demands, order} -> arrive?(session, demands, order) end,
             100
           )

    assert {:ok, %{open_demands: 0}} = Graphport.info(name)
  end

  defp arrive?(session, demands, order) do
    opened =
      for messages <- demands do
        {:ok, demand} = Graphport.demand_async(session, "silent", tag: true)
        {demand.ref, messages}
      end

    {:ok, raw} = Graphport.demand_async(session, "raw:" <> Base.encode16(batch(opened, order)), tag: true)
    arrived = for {ref, messages} <- opened, do: messages(ref) == expected(messages)
    # Nothing but this demand is open now, and nobody will answer it.
    {:ok, instance} = Graphport.Instance.fetch(session.instance)
    Graphport.Caller.abandon(instance, raw.ref, Graphport.Error.new(:cancelled, "no longer wanted"))
    Enum.all?(arrived) and mailbox() == []
  end

  defp expected(messages),
    do:
      for({{_parts, size}, nth} <- Enum.with_index(messages), do: "#{nth}:" <> String.duplicate("x", size)) ++
        [:complete]

  defp messages(ref) do
    receive do
      {:graphport, ^ref, {:node_stream, "n", chunk}} -> [chunk | messages(ref)]
      {:graphport, ^ref, {:demand_complete, "silent", %{}}} -> [:complete]
      {:graphport, ^ref, other} -> [other]
    after
      20_000 -> [:nothing]
    end
  end

  # All of it in one frame.
  defp batch(opened, order) do
    queues = for {ref, messages} <- opened, do: written(ref, messages)
    interleaved = [["pong", 1] | interleave(queues, order)]

    [Encoder.list_header(length(interleaved)) | Enum.map(interleaved, &Encoder.encode!/1)]
    |> IO.iodata_to_binary()
  end

  defp written(ref, messages) do
    chunks =
      for {{parts, size}, nth} <- Enum.with_index(messages),
          message = ["node_stream", ref, "n", "p", "#{nth}:" <> String.duplicate("x", size)],
          written <- if(parts == 0, do: [message], else: parts(ref, message, parts)),
          do: written

    last = ["demand_complete", ref, "silent", %{}, %{}]
    chunks ++ if(rem(length(messages), 2) == 0, do: [last], else: parts(ref, last, 2))
  end

  defp parts(ref, message, count) do
    bytes = message |> Encoder.encode!() |> IO.iodata_to_binary()
    size = div(byte_size(bytes), count) + 1

    pieces =
      for at <- 0..(byte_size(bytes) - 1)//size, do: binary_part(bytes, at, min(size, byte_size(bytes) - at))

    for {piece, seq} <- Enum.with_index(pieces),
        do: ["part", ref, seq, seq == length(pieces) - 1, %Bytes{data: piece}]
  end

  # Takes from the queues in the order that the numbers say, and then what is left.
  defp interleave(queues, order) do
    case {Enum.reject(queues, &(&1 == [])), order} do
      {[], _order} -> []
      {queues, []} -> Enum.concat(queues)
      {queues, [n | order]} -> take(queues, rem(n, length(queues)), order)
    end
  end

  defp take(queues, at, order) do
    [message | rest] = Enum.at(queues, at)
    [message | interleave(List.replace_at(queues, at, rest), order)]
  end
end
