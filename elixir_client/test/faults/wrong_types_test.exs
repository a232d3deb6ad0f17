defmodule Graphport.Faults.WrongTypesTest do
  # A value of each type in each field of each message of the engine: read if the protocol allows it there, `bad_message`
  # if not; and on a real pipe it is the engine's end.
  use Graphport.Case, async: true

  alias Graphport.{Bytes, Error, Hostile, Ledger}
  alias Graphport.Wire.{Encoder, Messages}

  @meta %{"revision" => 1, "us" => 1, "ran" => 0, "cached" => false, "skipped" => false}

  # Each field with a good value and what is allowed there.
  @messages [
    ["ready", {%{"protocol" => 1, "os_pid" => 1}, :facts}],
    ["reply", {1, [:id]}, {nil, :any}],
    ["error", {1, [:id, nil]}, {%{}, [:map, :empty_map]}],
    [
      "demand_complete",
      {1, [:id]},
      {"n", [:text, :bytes, :texts]},
      {%{}, [:map, :empty_map]},
      {@meta, [:map, :empty_map]}
    ],
    [
      "demand_complete",
      {1, [:id]},
      {["n", "m"], [:text, :bytes, :texts]},
      {%{}, [:map, :empty_map]},
      {%{}, [:map, :empty_map]}
    ],
    ["demand_error", {1, [:id]}, {"n", [:text, :bytes, :texts]}, {%{}, [:map, :empty_map]}],
    ["node_stream", {1, [:id]}, {"n", [:text, :bytes]}, {"p", [:text, :bytes]}, {"x", :any}],
    ["node_event", {1, [:id]}, {"n", [:text, :bytes]}, {%{"event" => "started"}, :event}],
    ["credit", {1, [:id]}, {1, [:id]}],
    ["log", {"info", []}, {"l", [:text, :bytes]}, {"t", [:text, :bytes]}, {%{}, [:map, :empty_map]}],
    ["pong", {1, [:id, :negative, :unsigned, :big]}],
    ["part", {1, [:id]}, {0, [:id]}, {true, [true, false]}, {%Bytes{data: "x"}, [:bytes]}]
  ]

  # The decoder makes the same term of text and bytes, so bytes pass for text.
  @values [
    nil: nil,
    true: true,
    false: false,
    id: 5,
    negative: -1,
    unsigned: 0xFFFFFFFFFFFFFFFF,
    big: 0x10000000000000000,
    float: 1.0,
    nan: :nan,
    text: "text",
    bytes: %Bytes{data: <<255, 0>>},
    list: [1],
    empty_list: [],
    texts: ["a", "b"],
    map: %{"a" => 1},
    empty_map: %{},
    number_map: %{1 => 1},
    tuple: {1, "a"},
    set: MapSet.new([1]),
    date: ~D[2026-11-21],
    time: ~U[2026-11-21 03:25:00Z]
  ]

  test "the table has every message of the engine" do
    names = @messages |> Enum.map(&hd/1) |> Enum.uniq() |> Enum.sort()

    assert names ==
             Enum.sort(
               ~w(ready reply error demand_complete demand_error node_stream node_event credit log pong part)
             )

    assert length(@values) > 20
  end

  test "a value of each type in each field is read, or refused as bad_message" do
    cases =
      for [name | fields] <- @messages,
          {{_good, allowed}, at} <- Enum.with_index(fields),
          {kind, value} <- @values do
        frame = frame([name | fields |> Enum.map(&elem(&1, 0)) |> List.replace_at(at, value)])
        expected = if allowed?(kind, allowed), do: :ok, else: :bad_message
        among_others = <<0x92, frame::binary, frame(["pong", 1])::binary>>

        assert {name, at, kind, verdict(frame)} == {name, at, kind, expected}
        assert {name, at, kind, verdict(among_others)} == {name, at, kind, batched(name, at, kind, expected)}
      end

    assert length(cases) > 700
  end

  test "a field too few, or one too many, is bad_message" do
    for [name | fields] <- @messages do
      good = Enum.map(fields, &elem(&1, 0))
      assert {name, verdict(frame([name | good]))} == {name, :ok}

      for fields <- [Enum.drop(good, 1), Enum.drop(good, -1), good ++ [nil], []],
          do: assert({name, verdict(frame([name | fields]))} == {name, :bad_message})
    end
  end

  for name <- ~w(ready reply error demand_complete demand_error node_stream node_event credit log pong part) do
    test "#{name} with a tuple as its first field is the engine's end", %{name: instance} do
      script = Hostile.start(instance, [:peer])
      ledger = Ledger.open(instance)
      [name | fields] = Enum.find(unquote(Macro.escape(@messages)), &(hd(&1) == unquote(name)))

      node =
        "raw:" <> Base.encode16(frame([name, {1, "a"} | fields |> Enum.drop(1) |> Enum.map(&elem(&1, 0))]))

      Ledger.demand(ledger, node)
      Ledger.await(ledger, [node])
      Ledger.await(ledger)
      assert Ledger.why(ledger, node) =~ "breaks the protocol (bad_message"
      assert {:ok, _outputs} = Graphport.demand(ledger.session, "echo", timeout: 20_000)
      Ledger.assert_all(ledger, :engine_down, [node])
      Hostile.assert_buried(script, 1)
    end
  end

  defp allowed?(_kind, :any), do: true
  defp allowed?(_kind, :facts), do: false
  defp allowed?(_kind, :event), do: false
  defp allowed?(kind, kinds), do: kind in kinds or (kind == :number_map and :map in kinds)

  # Among others a part is not checked for text in the place of bytes; it is what it holds that is read.
  defp batched("part", 3, :text, :bad_message), do: :ok
  defp batched(_name, _at, _kind, verdict), do: verdict

  defp verdict(frame) do
    case Messages.parse_frame(frame) do
      {:ok, [_ | _]} -> :ok
      {:error, %Error{code: code}} -> code
    end
  end

  defp frame(message), do: IO.iodata_to_binary(Encoder.encode!(message))
end
