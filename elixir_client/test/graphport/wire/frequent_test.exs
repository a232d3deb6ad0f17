defmodule Graphport.Wire.FrequentTest do
  # The fast way of reading frames agrees with the general one: on every vector, on seeded frames of frequent and other
  # messages, alone and in batches, and on the same frames cut short or with a byte changed.
  use ExUnit.Case, async: true

  alias Graphport.Vectors
  alias Graphport.Wire.{Encoder, Frequent, Messages}

  @seeds 1..400
  @meta <<0x85, 0xA8, "revision", 1, 0xA2, "us", 0xCD, 300::16, 0xA3, "ran", 0, 0xA6, "cached", 0xC3, 0xA7,
          "skipped", 0xC2>>

  test "every vector is read as the general way reads it" do
    vectors = Vectors.all()
    assert length(vectors) > 300
    for vector <- vectors, do: assert_agree(Vectors.frame(vector.hex))
  end

  test "frames of all kinds are read as the general way reads them, and most of them fast" do
    fast =
      for seed <- @seeds do
        seed(seed, 1)
        frame = frame()
        assert_agree(frame)
        if match?({:ok, _messages}, Frequent.messages(frame)), do: 1, else: 0
      end

    assert Enum.sum(fast) > 100
  end

  test "frames cut short are refused alike" do
    for seed <- @seeds do
      seed(seed, 2)
      frame = frame()
      assert_agree(binary_part(frame, 0, :rand.uniform(byte_size(frame)) - 1))
    end
  end

  test "frames with more behind their value are refused alike" do
    for seed <- @seeds do
      seed(seed, 3)
      assert_agree(frame() <> <<:rand.uniform(256) - 1>>)
    end
  end

  test "frames with a byte changed are read or refused alike" do
    for seed <- 1..4_000 do
      seed(seed, 4)
      frame = frame()
      at = :rand.uniform(byte_size(frame)) - 1
      <<before::binary-size(at), _byte, rest::binary>> = frame
      assert_agree(<<before::binary, :rand.uniform(256) - 1, rest::binary>>)
    end
  end

  test "every byte of an answer and of a chunk, changed to every other, is judged alike" do
    for frame <- [
          answer("n", <<0x81, 0xA4, "text", 0xA1, "x">>, @meta),
          write(["node_stream", 7, "n", "text", "x"])
        ],
        at <- 0..(byte_size(frame) - 1),
        byte <- 0..255 do
      <<before::binary-size(at), _byte, rest::binary>> = frame
      assert_agree(<<before::binary, byte, rest::binary>>)
      assert_agree(<<0x92, before::binary, byte, rest::binary, frame::binary>>)
    end
  end

  test "values at the greatest depth are judged alike" do
    for levels <- 9_996..10_001, build <- [&chunk_of/1, &<<0x91, chunk_of(&1)::binary>>] do
      assert_agree(build.(:binary.copy(<<0x91>>, levels) <> <<0>>))
    end
  end

  test "short texts do not keep a long batch alive" do
    chunk = write(["node_stream", 7, "a node", "a port", "a token"])
    {:ok, messages} = Messages.parse_frame(<<0xDC, 100::16, :binary.copy(chunk, 100)::binary>>)
    assert length(messages) == 100

    for {:node_stream, 7, node, port, token} <- messages,
        text <- [node, port, token],
        do: assert(:binary.referenced_byte_size(text) < 100)
  end

  defp chunk_of(value), do: <<0x95, 0xAB, "node_stream", 7, 0xA1, "n", 0xA4, "text", value::binary>>

  # `===` on terms, and as external terms, which tell 0.0 from -0.0.
  defp assert_agree(frame) do
    fast = Messages.parse_frame(frame)
    general = Messages.parse_general(frame)
    assert fast === general
    assert :erlang.term_to_binary(fast) == :erlang.term_to_binary(general)
  end

  defp seed(seed, kind), do: :rand.seed(:exsss, {seed, kind, 17})

  defp frame do
    case :rand.uniform(3) do
      1 -> message()
      2 -> batch(:rand.uniform(15))
      3 -> batch(:rand.uniform(40) + 10)
    end
  end

  defp batch(count) do
    header = if count < 16, do: <<0x90 + count>>, else: <<0xDC, count::16>>
    IO.iodata_to_binary([header | for(_ <- 1..count, do: message())])
  end

  defp message do
    case :rand.uniform(12) do
      n when n < 5 -> answer(name(), outputs(), meta())
      n when n < 9 -> write(["node_stream", id(), name(), name(), value(2)])
      9 -> write(["credit", id(), id()])
      10 -> write(["node_event", id(), text(), %{"event" => text()}])
      11 -> write(["demand_error", id(), text(), %{"code" => text()}])
      12 -> write(["demand_complete", id(), [text(), text()], %{text() => %{text() => 1}}, %{}])
    end
  end

  defp answer(node, outputs, meta),
    do: IO.iodata_to_binary([<<0x95, 0xAF, "demand_complete">>, write(id()), write(node), outputs, meta])

  defp outputs, do: write(Map.new(1..:rand.uniform(2), fn _ -> {text(), value(2)} end))
  defp meta, do: if(:rand.uniform(4) == 1, do: write(%{text() => value(1)}), else: @meta)
  defp id, do: :rand.uniform(Enum.random([100, 200, 50_000, 4_000_000_000, 0x7FFFFFFFFFFFFFFF]))
  defp name, do: if(:rand.uniform(50) == 1, do: text(), else: Enum.random(["n", "text", "größer", ""]))
  defp text, do: Enum.random(["", "n", "text", "value", "größer", String.duplicate("long ", 20), "answer"])

  defp value(0), do: Enum.random([nil, true, -3, 0.5, -0.0, "x", :nan, Integer.pow(2, 70), ~D[2026-01-02]])

  defp value(depth) do
    case :rand.uniform(4) do
      1 -> text()
      2 -> [value(depth - 1), value(depth - 1)]
      3 -> %{text() => value(depth - 1), 3 => {value(depth - 1)}}
      4 -> value(0)
    end
  end

  defp write(term), do: IO.iodata_to_binary(Encoder.encode!(term))
end
