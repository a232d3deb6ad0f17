defmodule Graphport.HandlesTest do
  # Handles are plain values: they can be kept, sent, compared and printed.
  use Graphport.Case, async: true

  alias Graphport.{Demand, Session}

  setup %{name: name} do
    start_peer(name)
    {:ok, session} = Graphport.open(name, %{}, name: "mine")
    {:ok, demand} = Graphport.demand_async(session, ["silent", "b"], tag: make_ref())
    {:ok, session: session, demand: demand}
  end

  # Everything in a term that is neither a map, a list nor a tuple.
  defp leaves(%_{} = struct), do: struct |> Map.from_struct() |> leaves()
  defp leaves(map) when is_map(map), do: map |> Map.to_list() |> leaves()
  defp leaves(list) when is_list(list), do: Enum.flat_map(list, &leaves/1)
  defp leaves(tuple) when is_tuple(tuple), do: tuple |> Tuple.to_list() |> leaves()
  defp leaves(leaf), do: [leaf]

  test "no port, no table, no counter is in a handle", %{session: session, demand: demand} do
    assert Map.keys(Map.from_struct(session)) == [:id, :instance, :pid]
    assert Map.keys(Map.from_struct(demand)) == [:node, :ref, :session]
    # Tables and atomics are references.
    for leaf <- leaves([session, demand]),
        do: refute(is_port(leaf) or is_reference(leaf) or is_function(leaf))
  end

  test "a handle is the same after a journey as a binary", %{session: session, demand: demand} do
    copy = demand |> :erlang.term_to_binary() |> :erlang.binary_to_term()
    assert copy == demand
    assert Task.await(Task.async(fn -> Graphport.cancel(copy) end)) == :ok
    assert {:ok, %{"ids" => [id]}} = Graphport.demand(copy.session, "cancels:1")
    assert id == demand.ref
    assert copy.session == session
  end

  test "a handle is short when it is printed" do
    session = %Session{instance: MyApp.Graphs, id: 7, pid: self()}
    assert inspect(session) == "#Graphport.Session<7, MyApp.Graphs>"
    assert inspect(%Demand{ref: 12, node: "answer", session: session}) == ~s(#Graphport.Demand<12, "answer">)

    assert inspect(%Demand{ref: 12, node: Enum.map(1..9, &"n#{&1}"), session: session}) ==
             ~s(#Graphport.Demand<12, ["n1", "n2", "n3", ...]>)

    assert inspect(%{demand: %Demand{ref: 1, node: "*", session: session}}) ==
             ~s(%{demand: #Graphport.Demand<1, "*">})
  end
end
