defmodule Graphport.Integration.BadInputTest do
  # What no caller and no node should give: each is told with its code, and the same engine goes on.
  use Graphport.Case, async: true

  alias Graphport.{Error, LogHandler}

  @types ~w(same gives number text-input)

  setup %{name: name} do
    start_engine(name, nodes: ["graphport_test_nodes"])
    os_pid = os_pid(name)
    nodes = for type <- @types, do: %{id: type, type: type, data: %{text: "x", what: "x", value: 1}}
    {:ok, session: Graphport.open!(name, %{nodes: nodes, edges: []}), os_pid: os_pid}
  end

  defp same(session, value), do: demand(session, "same", %{"value" => value})
  defp gives(session, what), do: demand(session, "gives", %{"what" => what})
  defp demand(session, node, inputs), do: Graphport.demand(session, node, inputs: %{node => inputs})

  defp assert_goes_on(%{name: name, session: session, os_pid: os_pid}) do
    assert {:ok, %{"text" => "x"}} = Graphport.demand(session, "text-input")
    assert %{os_pid: ^os_pid, open_demands: 0, unread_bytes: unread} = engine(name)
    assert unread < 1_048_576
  end

  defp deep(levels), do: Enum.reduce(2..levels, [], fn _level, inner -> [inner] end)

  @tag :slow
  test "300 MB are too_large, either way, and are not kept", %{session: session, os_pid: os_pid} = context do
    text = String.duplicate("x", 300_000_000)
    assert {:error, %Error{code: :too_large}} = same(session, text)
    assert {:error, %Error{code: :too_large}} = same(session, [Graphport.bytes(text)])

    assert {:error, %Error{code: :too_large}} =
             Graphport.open(context.name, %{nodes: [], edges: [], more: text})

    assert {:error, %Error{code: :too_large, node_id: "gives", message: message}} = gives(session, "300 MB")
    assert message =~ "value"
    assert_goes_on(context)
    eventually(fn -> resident_kib(os_pid) < 300_000 end)
  end

  test "text that is no UTF-8", %{session: session} = context do
    assert {:error, %Error{code: :unencodable_value}} = same(session, <<255>>)
    assert {:error, %Error{code: :unencodable_value}} = demand(session, <<"same", 255>>, %{})
    assert {:error, %Error{code: :unencodable_value}} = Graphport.open(context.name, %{<<255>> => 1})
    assert {:error, %Error{code: :unencodable_value, node_id: "gives"}} = gives(session, "surrogate")
    assert_goes_on(context)
  end

  test "numbers at the edge travel whole", %{session: session} = context do
    for value <- [:nan, :infinity, :neg_infinity, Integer.pow(2, 200), -Integer.pow(2, 200), -0.0] do
      assert {:ok, %{"value" => ^value}} = same(session, value)
    end

    assert {:ok, %{"value" => [:nan, :infinity, :neg_infinity]}} = gives(session, "nan")
    assert {:ok, %{"value" => big}} = gives(session, "big")
    assert big == -Integer.pow(2, 200)
    assert {:ok, %{"value" => :nan}} = demand(session, "number", %{"value" => :nan})

    assert {:error, %Error{code: :invalid_input, node_id: "number", message: text}} =
             demand(session, "number", %{"value" => "seven"})

    assert text =~ "expected a number"
    assert {:error, %Error{code: :unencodable_value}} = same(session, Integer.pow(2, 40_000))
    assert_goes_on(context)
  end

  test "990 levels of lists travel both ways, 10,000 neither", %{session: session} = context do
    value = deep(990)
    assert {:ok, %{"value" => ^value}} = same(session, value)
    assert {:ok, %{"value" => ^value}} = gives(session, "deep")
    assert {:error, %Error{code: :unencodable_value}} = same(session, deep(10_000))
    assert {:error, %Error{code: :unencodable_value, node_id: "gives"}} = gives(session, "too deep")
    assert {:error, %Error{code: :unencodable_value, node_id: "gives"}} = gives(session, "circle")
    assert {:error, %Error{code: :unencodable_value, node_id: "gives"}} = gives(session, "object")
    json = {:json, String.duplicate("[", 10_000) <> String.duplicate("]", 10_000)}
    assert {:error, %Error{code: :invalid_graph}} = Graphport.open(context.name, json)
    assert_goes_on(context)
  end

  @tag :slow
  test "a million ids are refused or ignored", %{session: session, name: name} = context do
    ids = for number <- 1..1_000_000, do: "id-#{number}"

    assert {:error, %Error{code: code}} = Graphport.demand(session, "same", inputs: Map.new(ids, &{&1, %{}}))

    assert code in [:too_large, :unknown_node]

    case Graphport.demand_async(session, "same", stream: ids) do
      {:ok, _demand} -> assert_receive {:demand_complete, "same", %{}}, 20_000
      {:error, error} -> assert error.code == :too_large
    end

    nodes = for id <- ids, do: %{id: id}

    assert {:error, %Error{code: code}} = Graphport.open(name, %{nodes: nodes, edges: []}, timeout: 60_000)
    assert code in [:too_large, :invalid_graph]
    assert_goes_on(context)
  end

  test "what has no sense is refused with a hint", %{session: session} = context do
    assert_raise ArgumentError, ~r/did you mean :timeout\?/, fn ->
      Graphport.demand(session, "same", tiemout: 1)
    end

    assert {:error, %Error{code: :unknown_node, node_id: "smae", message: text}} =
             demand(session, "smae", %{})

    assert text =~ "did you mean 'same'?"

    assert {:error, %Error{code: :unknown_node, node_id: "nmuber"}} =
             Graphport.demand(session, "same", inputs: %{"nmuber" => %{"value" => 1}})

    assert {:error, %Error{code: :invalid_input, node_id: "number", message: text}} =
             demand(session, "number", %{"vlaue" => 1})

    assert text =~ "did you mean 'value'?"
    assert_goes_on(context)
  end

  test "a graph with misspelt words is told what was meant", %{name: name} = context do
    nodes = [%{id: "first", type: "txt-input"}, %{id: "second", type: "text-output", data: %{text: "x"}}]
    edge = %{source: "frist", source_handle: "text", target: "second", target_handle: "txet"}

    assert {:error, %Error{code: :invalid_graph, details: %{"faults" => faults}}} =
             Graphport.open(name, %{nodes: nodes, edges: [edge]})

    told = Enum.map_join(faults, "\n", & &1["message"])
    for meant <- ~w('text-input' 'first' 'text'), do: assert(told =~ "Did you mean #{meant}?")

    LogHandler.attach(name)
    node = %{id: "n", type: "number", data: %{value: 1, valeu: 2}}
    Graphport.open(name, %{nodes: [%{node | data: %{valeu: 2}}], edges: []})
    assert_receive {:log, :warning, text, %{logger: "graphport.graph"}}, 5_000
    assert text =~ "node 'n', data 'valeu'"
    assert text =~ "did you mean 'value'?"
    assert_goes_on(context)
  end

  test "no word that is read becomes an atom", %{session: session, os_pid: os_pid} do
    key = "never an atom #{os_pid}"
    assert {:ok, %{"value" => %{^key => "nor this"}}} = gives(session, "new words")
    assert {:error, %Error{code: :unknown_node}} = Graphport.demand(session, "nor am I, #{os_pid}")

    for text <- [["never an atom ", "#{os_pid}"], ["nor am I, ", "#{os_pid}"]] do
      assert_raise ArgumentError, fn -> text |> IO.iodata_to_binary() |> String.to_existing_atom() end
    end
  end

  defp resident_kib(os_pid) do
    [_all, kib] = Regex.run(~r/VmRSS:\s+(\d+) kB/, File.read!("/proc/#{os_pid}/status"))
    String.to_integer(kib)
  end
end
