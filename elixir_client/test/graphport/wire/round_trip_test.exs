defmodule Graphport.Wire.RoundTripTest do
  # What is written is read as the same: for terms that PropEr makes, and for seeded ones that need no library.
  use ExUnit.Case, async: true

  alias Graphport.{Bytes, Error}
  alias Graphport.Wire.{Decoder, Encoder, Messages}

  @seeds 1..300

  describe "seeded terms" do
    test "come back as they were" do
      for seed <- @seeds do
        :rand.seed(:exsss, {seed, 2, 3})
        term = term(5)
        assert read(write(term)) == {:ok, plain(term)}, "seed #{seed}: #{inspect(term)}"
      end
    end

    test "cut short anywhere are refused, with no other error and no exception" do
      for seed <- 1..60 do
        :rand.seed(:exsss, {seed, 5, 7})
        frame = write(term(4))
        at = :rand.uniform(byte_size(frame)) - 1
        assert {:error, %Error{code: :bad_frame}} = Decoder.decode(binary_part(frame, 0, at))
      end
    end

    test "with a byte changed are read or refused, never raised on" do
      for seed <- @seeds do
        :rand.seed(:exsss, {seed, 11, 13})
        frame = write(term(4))
        at = :rand.uniform(byte_size(frame)) - 1
        <<before::binary-size(at), _byte, rest::binary>> = frame

        case Messages.parse_frame(<<before::binary, :rand.uniform(256) - 1, rest::binary>>) do
          {:ok, messages} -> assert is_list(messages)
          {:error, %Error{code: code}} -> assert code in [:bad_frame, :bad_message]
        end
      end
    end

    test "make no atoms" do
      frames =
        for seed <- @seeds, do: :rand.seed(:exsss, {seed, 1, 1}) && write(%{"k#{seed}_no_atom" => term(4)})

      before = :erlang.system_info(:atom_count)
      Enum.each(frames, &Decoder.decode/1)
      # Other tests that run at once may load modules; 300 keys as atoms would show.
      assert :erlang.system_info(:atom_count) - before < 200
    end
  end

  describe "PropEr" do
    @describetag :proper

    test "terms come back as they were" do
      assert holds(value(), fn term -> read(write(term)) == {:ok, plain(term)} end)
    end

    test "integers of every size come back" do
      sized =
        proper(:bind, [
          proper(:integer, [0, 2_000]),
          &proper(:integer, [-Integer.pow(2, &1), Integer.pow(2, &1)]),
          false
        ])

      assert holds(sized, fn integer -> read(write(integer)) == {:ok, integer} end)
    end

    test "arbitrary bytes are read or refused" do
      assert holds(proper(:binary, []), fn bytes ->
               case Decoder.decode(bytes) do
                 {:ok, _term} -> true
                 {:error, %Error{code: :bad_frame}} -> true
               end
             end)
    end
  end

  describe "the decoder" do
    test "copies short texts out of long frames, and only those" do
      long = String.duplicate("x", 10_000)
      {:ok, ["short", ^long, "y"]} = Decoder.decode(write(["short", long, "y"]))
      {:ok, [short, text, _]} = Decoder.decode(write(["short", long, "y"]))
      assert :binary.referenced_byte_size(short) < 100
      assert :binary.referenced_byte_size(text) > 10_000
    end

    test "reserves nothing for sizes that a frame only claims" do
      {_time, {:error, %Error{code: :bad_frame}}} =
        :timer.tc(fn -> Decoder.decode(<<0xDD, 0xFFFFFFFF::32, 1>>) end)

      assert {:error, %Error{code: :bad_frame}} = Decoder.decode(<<0xDF, 0xFFFFFFFF::32, 1, 2>>)
    end
  end

  describe "the encoder" do
    test "says what has no form" do
      for {term, text} <- [
            {self(), "a pid"},
            {make_ref(), "a reference"},
            {fn -> :ok end, "a function"},
            {<<1::3>>, "a bitstring"},
            {<<255>>, "Graphport.bytes/1"},
            {[1 | 2], "an improper list"},
            {%{[1] => 2}, "a list cannot be a map key"},
            {%{%{} => 2}, "a map cannot be a map key"},
            {%{{1} => 2}, "a tuple cannot be a map key"},
            {%{Integer.pow(2, 64) => 2}, "cannot be a map key"},
            {1..2, "a struct of Range"},
            {MapSet.new([[1]]), "a set with a list"},
            {~N[-0001-01-01 00:00:00], "not with this value"},
            {Enum.reduce(1..1_000, [], fn _, inner -> [inner] end), "deeper than 1000"},
            {Enum.reduce(1..8, {}, fn _, inner -> {inner} end), "deeper than 8"}
          ] do
        assert {:error, %Error{code: :unencodable_value, message: message}} = Encoder.encode(term)
        assert message =~ text
      end
    end

    test "writes atoms as text, zones as UTC" do
      assert read(write(%{a: [:b, nil, true, :nan]})) == {:ok, %{"a" => ["b", nil, true, :nan]}}
      zoned = %{~U[2026-01-01 10:00:00Z] | utc_offset: 7200, time_zone: "X/Y", zone_abbr: "XY"}
      assert {:ok, ~U[2026-01-01 08:00:00.000000Z]} = read(write(zoned))
    end

    test "has messages over 256 KiB go in parts, and refuses those over the limit" do
      assert {:ok, frame} = Messages.open(1, 2, %{"x" => String.duplicate("x", 262_127)})
      assert :erlang.iolist_size(frame) == 262_144
      assert {:ok, {:parts, bytes, :nothing}} = Messages.open(1, 2, %{"x" => String.duplicate("x", 262_128)})
      assert :erlang.iolist_size(bytes) == 262_145

      big = %{"x" => String.duplicate("x", 300_000)}
      assert {:ok, {:parts, _bytes, :nothing}} = Messages.demand_async(1, 2, "n", big)

      assert {:ok, {:parts, bytes, :deadline}} =
               Messages.demand_async(1, 2, "n", Map.put(big, "deadline_ms", 5))

      assert {:ok, ["demand_async", 1, 2, "n", %{"deadline_ms" => 7} = options]} =
               read(IO.iodata_to_binary([bytes | Messages.deadline(7)]))

      assert Map.delete(options, "deadline_ms") == big

      # 256 times the same binary: no memory is needed for what is refused.
      too_large = %{"x" => List.duplicate(String.duplicate("x", 1_048_576), 256)}
      assert {:error, %Error{code: :too_large}} = Messages.open(1, 2, too_large)
      assert {:error, %Error{code: :too_large}} = Messages.demand_async(1, 2, "n", too_large)
      assert {:error, %Error{code: :unencodable_value}} = Messages.demand_async(1, 2, <<255>>, %{})
    end

    test "writes the messages of the protocol" do
      {:ok, demand} = Messages.demand_async(1, 2, "n", %{"fresh" => true})
      {:ok, open} = Messages.open(1, 2, %{"nodes" => []})

      for {iodata, message} <- [
            {demand, ["demand_async", 1, 2, "n", %{"fresh" => true}]},
            {open, ["open", 1, 2, %{"nodes" => []}, %{}]},
            {Messages.close(1, 2), ["close", 1, 2]},
            {Messages.cancel(1), ["cancel", 1]},
            {Messages.ping(7), ["ping", 7]},
            {Messages.credit(3, 4), ["credit", 3, 4]},
            {Messages.hello("c", %{"backend" => "b"}),
             ["hello", %{"protocol" => 1, "client" => "c", "options" => %{"backend" => "b"}}]}
          ],
          do: assert(Decoder.decode(IO.iodata_to_binary(iodata)) == {:ok, message})
    end
  end

  defp write(term) do
    {:ok, iodata} = Encoder.encode(term)
    IO.iodata_to_binary(iodata)
  end

  defp read(frame), do: Decoder.decode(frame)

  # What a reader makes of a term: bytes lose their wrapper.
  defp plain(%Bytes{data: data}), do: data
  defp plain(%MapSet{} = set), do: MapSet.new(set, &plain/1)
  defp plain(%_{} = struct), do: struct
  defp plain(list) when is_list(list), do: Enum.map(list, &plain/1)
  defp plain(tuple) when is_tuple(tuple), do: tuple |> Tuple.to_list() |> plain() |> List.to_tuple()
  defp plain(map) when is_map(map), do: Map.new(map, fn {key, value} -> {plain(key), plain(value)} end)
  defp plain(term), do: term

  # -- seeded generators

  defp term(0), do: scalar(:rand.uniform(9))

  defp term(depth) do
    case :rand.uniform(6) do
      1 -> for _ <- 1..:rand.uniform(20), do: term(depth - 1)
      2 -> for _ <- 1..:rand.uniform(20), into: %{}, do: {key(), term(depth - 1)}
      3 -> List.to_tuple(for _ <- 1..:rand.uniform(3), do: term(0))
      4 -> MapSet.new(for _ <- 1..:rand.uniform(5), do: scalar(:rand.uniform(5)))
      _ -> term(0)
    end
  end

  defp scalar(1), do: :rand.uniform(1_000_000) - 500_000
  defp scalar(2), do: Integer.pow(-2, :rand.uniform(200)) + :rand.uniform(100)
  defp scalar(3), do: :rand.normal() * 1.0e10
  defp scalar(4), do: for(_ <- 1..:rand.uniform(100), into: "", do: <<Enum.random('aäz€😀 \n0')::utf8>>)
  defp scalar(5), do: Enum.random([nil, true, false, :nan, :infinity, :neg_infinity, "", 0])
  defp scalar(6), do: %Bytes{data: :rand.bytes(:rand.uniform(300))}
  defp scalar(7), do: DateTime.from_unix!(:rand.uniform(10_000_000_000_000_000), :microsecond)
  defp scalar(8), do: Enum.random([~D[2026-11-21], ~T[03:25:00.5], ~N[2026-11-21 03:25:00]])
  defp scalar(9), do: :rand.uniform(128) - 33

  defp key, do: Enum.random([scalar(4), "k#{:rand.uniform(1000)}", :rand.uniform(1000), 1.5, nil, true])

  # -- PropEr, called by name so that the tests compile without it

  defp proper(type, args), do: apply(:proper_types, type, args)

  defp holds(type, property),
    do: apply(:proper, :quickcheck, [apply(:proper, :forall, [type, property]), [:quiet, numtests: 300]])

  defp value, do: proper(:sized, [&value/1])

  defp value(0) do
    proper(:union, [
      [
        proper(:integer, []),
        proper(:float, []),
        proper(:boolean, []),
        proper(:exactly, [nil]),
        proper(:exactly, [:infinity]),
        text(),
        mapped(proper(:binary, []), &%Bytes{data: &1})
      ]
    ])
  end

  defp value(size) do
    smaller = proper(:lazy, [fn -> value(div(size, 4)) end])

    proper(:union, [
      [
        value(0),
        proper(:list, [smaller]),
        mapped(proper(:list, [proper(:tuple, [[text(), smaller]])]), &Map.new/1),
        mapped(proper(:vector, [2, smaller]), &fenced/1)
      ]
    ])
  end

  # Tuples nest at most eight deep on the wire; these hold at most a list of them.
  defp fenced(items), do: if(inspect(items, limit: 50) =~ "{{{{", do: items, else: List.to_tuple(items))

  defp text,
    do:
      mapped(
        proper(:list, [proper(:union, [[proper(:integer, [32, 126]), proper(:integer, [0xA0, 0xD7FF])]])]),
        &List.to_string/1
      )

  defp mapped(type, fun), do: proper(:bind, [type, fun, true])
end
