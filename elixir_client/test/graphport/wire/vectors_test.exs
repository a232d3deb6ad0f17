defmodule Graphport.Wire.VectorsTest do
  # Runs the wire vectors against the Elixir codec. Python runs the same ones in tests/wire/test_vectors.py.
  use ExUnit.Case, async: true

  alias Graphport.Error
  alias Graphport.Vectors
  alias Graphport.Wire.{Decoder, Encoder, Messages}

  @external_resource Path.join(Vectors.folder(), "vectors.eterm")
  @vectors Vectors.all()
  # Fewer than these means that files went missing, not that all is well.
  @at_least %{value: 200, write: 3, to_engine: 60, to_beam: 40}

  test "no kind is short and every verdict is known" do
    counts = Enum.frequencies_by(@vectors, & &1.kind)
    assert Map.keys(counts) |> Enum.sort() == Map.keys(@at_least) |> Enum.sort()
    for {kind, least} <- @at_least, do: assert(counts[kind] >= least)
    for vector <- @vectors, do: assert(vector.verdict == :accept or vector.verdict in Error.codes())
  end

  test "the code list is the exported one" do
    assert Error.codes() == Vectors.codes()
  end

  for vector <- @vectors, vector.verdict == :accept do
    test "reads #{vector.kind}: #{vector.name}" do
      vector = unquote(Macro.escape(vector))
      assert {:ok, value} = Decoder.decode(Vectors.frame(vector.hex))
      assert same?(value, Vectors.expected(vector.value))
    end
  end

  for vector <- @vectors, vector.kind == :value, vector.verdict == :accept, vector.exact do
    test "writes #{vector.name}" do
      vector = unquote(Macro.escape(vector))
      assert {:ok, iodata} = Encoder.encode(Vectors.given(vector.value))
      assert IO.iodata_to_binary(iodata) == Vectors.frame(vector.hex)
    end
  end

  for vector <- @vectors, vector.kind == :value, vector.verdict != :accept do
    test "refuses to read #{vector.name}" do
      vector = unquote(Macro.escape(vector))
      assert {:error, %Error{code: code}} = Decoder.decode(Vectors.frame(vector.hex))
      assert code == vector.verdict
    end
  end

  for vector <- @vectors, vector.kind == :write do
    test "refuses to write #{vector.name}" do
      vector = unquote(Macro.escape(vector))
      assert {:error, %Error{code: code}} = Encoder.encode(Vectors.given(vector.value))
      assert code == vector.verdict
    end
  end

  for vector <- @vectors, vector.kind == :to_beam, vector.verdict == :accept do
    test "takes #{vector.name}" do
      vector = unquote(Macro.escape(vector))
      assert {:ok, messages} = Messages.parse_frame(Vectors.frame(vector.hex))
      assert Enum.map(messages, &name/1) == vector.messages
    end
  end

  for vector <- @vectors, vector.kind == :to_beam, vector.verdict != :accept do
    test "refuses #{vector.name}" do
      vector = unquote(Macro.escape(vector))
      assert {:error, %Error{code: code}} = Messages.parse_frame(Vectors.frame(vector.hex))
      assert code == vector.verdict
    end
  end

  describe "the vectors" do
    test "turn red for a codec that reads lists as tuples" do
      refute all_pass?(fn frame ->
               with {:ok, list} when is_list(list) <- Decoder.decode(frame), do: {:ok, List.to_tuple(list)}
             end)
    end

    test "turn red for a codec that refuses nothing" do
      refute all_pass?(fn frame ->
               with {:error, _error} <- Decoder.decode(frame), do: {:ok, nil}
             end)
    end

    test "turn red for a codec that ignores bytes after the value" do
      refute all_pass?(fn frame ->
               with {:error, %Error{message: text} = error} <- Decoder.decode(frame) do
                 if text =~ "after the value", do: {:ok, nil}, else: {:error, error}
               end
             end)
    end

    test "pass for the real codec" do
      assert all_pass?(&Decoder.decode/1)
    end
  end

  defp all_pass?(decode) do
    @vectors
    |> Enum.filter(&(&1.kind == :value))
    |> Enum.all?(fn vector ->
      case decode.(Vectors.frame(vector.hex)) do
        {:ok, value} -> vector.verdict == :accept and same?(value, Vectors.expected(vector.value))
        {:error, error} -> error.code == vector.verdict
      end
    end)
  end

  # The external term format tells 1 from 1.0 and 0.0 from -0.0, which `==` does not.
  defp same?(left, right),
    do: left === right and :erlang.term_to_binary(left) == :erlang.term_to_binary(right)

  defp name({:unknown, name}), do: name
  defp name(message), do: message |> elem(0) |> Atom.to_string()
end
