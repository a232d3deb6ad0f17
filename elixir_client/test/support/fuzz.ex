defmodule Graphport.Fuzz do
  # Frames that no engine should send: made from a seed, so that each can be made again. Random bytes, the vectors and
  # good messages with something wrong with them, and what is built to be expensive to read.
  @moduledoc false

  alias Graphport.Vectors
  alias Graphport.Wire.Encoder

  @names ~w(node_stream node_event demand_complete demand_error credit reply error pong log ready part weather)
  @max_frame_bytes 1_048_576

  @doc "What the frames are made from: the vectors' frames, but the long ones."
  def corpus,
    do:
      for(vector <- Vectors.all(), frame = Vectors.frame(vector.hex), byte_size(frame) < 4_096, do: frame)
      |> List.to_tuple()

  @doc "The frame of a seed and a number."
  def frame(seed, number, corpus) do
    :rand.seed(:exsss, {seed, number, 7})

    case :rand.uniform(20_000) do
      1 -> expensive(:rand.uniform(9))
      n when n < 3_000 -> :rand.bytes(:rand.uniform(64))
      n when n < 9_000 -> mutated(pick(corpus))
      n when n < 12_000 -> mutated(message())
      n when n < 16_000 -> message()
      n when n < 18_000 -> extension()
      _ -> batch()
    end
  end

  @doc "The expensive kinds, each as large as a frame may be."
  def expensive, do: Enum.map(1..9, &expensive/1)

  defp mutated(frame),
    do: Enum.reduce(1..:rand.uniform(3), frame, fn _, frame -> mutate(frame, :rand.uniform(8)) end)

  defp mutate("", _how), do: <<byte()>>

  defp mutate(frame, how) do
    at = :rand.uniform(byte_size(frame)) - 1
    <<before::binary-size(at), old, rest::binary>> = frame

    case how do
      1 -> before
      2 -> <<before::binary, byte(), rest::binary>>
      3 -> <<before::binary, Bitwise.bxor(old, Bitwise.bsl(1, :rand.uniform(8) - 1)), rest::binary>>
      4 -> <<before::binary, byte(), old, rest::binary>>
      5 -> <<before::binary, rest::binary>>
      6 -> <<before::binary, lie()::binary, rest::binary>>
      7 -> <<before::binary, old, rest::binary, before::binary>>
      8 -> <<before::binary, write(value(1))::binary, rest::binary>>
    end
  end

  # Headers whose length says more than there is, or less.
  defp lie do
    size = pick({0, 1, 0x7F, 0xFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, :rand.uniform(64)})

    case :rand.uniform(9) do
      1 -> <<0xDD, size::32>>
      2 -> <<0xDF, size::32>>
      3 -> <<0xC6, size::32>>
      4 -> <<0xDB, size::32>>
      5 -> <<0xC9, size::32, byte()>>
      6 -> <<0xDC, size::16>>
      7 -> <<0xDE, size::16>>
      8 -> <<0xD9, size::8>>
      9 -> <<0xC7, size::8, byte()>>
    end
  end

  # A message as it should be, but for what has been done to one of its fields.
  defp message do
    [name | fields] = good()

    fields =
      case :rand.uniform(9) do
        2 -> List.replace_at(fields, :rand.uniform(max(length(fields), 1)) - 1, value(2))
        3 -> List.delete_at(fields, :rand.uniform(max(length(fields), 1)) - 1)
        4 -> List.insert_at(fields, :rand.uniform(length(fields) + 1) - 1, value(2))
        5 -> Enum.shuffle(fields)
        _ -> fields
      end

    name = if :rand.uniform(20) == 1, do: value(1), else: name
    write([name | fields])
  end

  defp good do
    case pick(List.to_tuple(@names)) do
      "node_stream" ->
        ["node_stream", id(), text(), text(), value(2)]

      "node_event" ->
        ["node_event", id(), text(), %{"event" => text(), text() => value(1)}]

      "demand_complete" ->
        ["demand_complete", id(), target(), %{text() => value(2)}, meta()]

      "demand_error" ->
        ["demand_error", id(), target(), %{"code" => text(), "details" => value(2)}]

      "credit" ->
        ["credit", id(), id()]

      "reply" ->
        ["reply", id(), value(2)]

      "error" ->
        ["error", pick({nil, id()}), %{"code" => value(1), "message" => value(1)}]

      "pong" ->
        ["pong", id()]

      "log" ->
        ["log", pick({"info", "error", "critical", "loud"}), text(), text(), %{text() => value(1)}]

      "ready" ->
        ["ready", %{"protocol" => pick({1, value(0)}), "os_pid" => id(), text() => value(1)}]

      "part" ->
        ["part", id(), id(), pick({true, false}), %Graphport.Bytes{data: :rand.bytes(:rand.uniform(40))}]

      name ->
        [name, value(2)]
    end
  end

  defp meta,
    do: %{"revision" => 1, "us" => id(), "ran" => 0, "cached" => true, "skipped" => pick({false, value(0)})}

  defp target, do: pick({text(), [text(), text()], [text(), value(0)], []})

  defp batch do
    count = :rand.uniform(8)

    IO.iodata_to_binary([
      <<0x90 + count>>
      | for(_ <- 1..count, do: if(:rand.uniform(10) == 1, do: mutated(message()), else: message()))
    ])
  end

  # Of any type, with a payload that might be of any.
  defp extension do
    payload =
      case :rand.uniform(6) do
        1 ->
          :rand.bytes(:rand.uniform(20))

        2 ->
          pick(
            {"2026-11-21", "0000-00-00", "9999-99-99T99:99:99", "24:00:00", "-0001-01-01",
             "2026-11-21T03:25:00.1234567"}
          )

        3 ->
          mutated("2026-11-21T03:25:00.5")

        4 ->
          write(value(2))

        5 ->
          <<:rand.uniform(0x100000000) - 1::32, 0x7FFFFFFFFFFFFFFF - :rand.uniform(3)::64>>

        6 ->
          extension()
      end

    type = pick({-1, 1, 2, 3, 4, 5, 6, byte() - 128})
    ext = <<0xC8, byte_size(payload)::16, type::signed, payload::binary>>

    if :rand.uniform(2) == 1,
      do: ext,
      else: <<0x95, 0xAB, "node_stream", 7, 0xA1, "n", 0xA1, "p", ext::binary>>
  end

  # As long as a frame may be, and as dear as it can be made.
  defp expensive(1), do: :binary.copy(<<0x91>>, @max_frame_bytes)
  defp expensive(2), do: chunk(:binary.copy(<<0x81, 0xA0>>, div(@max_frame_bytes, 4)))
  defp expensive(3), do: nested(2, 0xC1)
  defp expensive(4), do: nested(2, 0x01)
  defp expensive(5), do: chunk(<<0xDF, 500_000::32, :binary.copy(<<1, 1>>, 500_000)::binary>>)
  defp expensive(6), do: chunk(<<0xC9, 1_000_000::32, 4, :binary.copy(":", 1_000_000)::binary>>)

  defp expensive(7),
    do: chunk(<<0xC9, 1_000_000::32, 4, "2026-01-01T00:00:00.", :binary.copy("1", 999_980)::binary>>)

  defp expensive(8), do: <<0xDC, 50_000::16, :binary.copy(write(["pong", 1]), 50_000)::binary>>
  defp expensive(9), do: chunk(<<0xDB, 1_000_000::32, :binary.copy("ä", 500_000)::binary>>)

  defp chunk(value), do: <<0x95, 0xAB, "node_stream", 7, 0xA1, "n", 0xA1, "p", value::binary>>

  # A tuple in a tuple in a tuple …: each payload is longer by the eight bytes of the one in it.
  defp nested(type, last) do
    levels = div(@max_frame_bytes, 8)
    heads = for n <- levels..1, do: <<0xC9, (n - 1) * 7 + 2::32, type, 0x91>>
    IO.iodata_to_binary([heads, last])
  end

  defp value(0),
    do:
      pick(
        {nil, true, 0, -1, 1.5, :nan, "", "x", text(), id(), Integer.pow(2, 80), ~D[2026-01-02],
         %Graphport.Bytes{data: <<255>>}, byte()}
      )

  defp value(depth) do
    case :rand.uniform(5) do
      1 -> [value(depth - 1), value(depth - 1)]
      2 -> %{text() => value(depth - 1), id() => value(depth - 1)}
      3 -> {value(depth - 1), value(0)}
      4 -> MapSet.new([id(), text()])
      5 -> value(0)
    end
  end

  # New words: were they made into atoms, it would show.
  defp text, do: pick({"", "n", "text", "value", "größer", "word #{:rand.uniform(0x7FFFFFFF)}"})
  defp id, do: pick({0, 7, 200, 70_000, 5_000_000_000, 0x7FFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFF, -5})
  defp byte, do: :rand.uniform(256) - 1
  defp pick(tuple), do: elem(tuple, :rand.uniform(tuple_size(tuple)) - 1)
  defp write(term), do: IO.iodata_to_binary(Encoder.encode!(term))
end
