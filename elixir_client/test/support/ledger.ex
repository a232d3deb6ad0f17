defmodule Graphport.Ledger do
  # Opens demands of every kind, keeps the books of what comes of each, and says so: exactly one last message, and
  # nothing after it. Used by `test/faults`.
  @moduledoc false

  import ExUnit.Assertions

  alias Graphport.Case, as: Peer
  alias Graphport.Error

  defstruct [:session, :book, :cancelled]

  @doc "A session with five demands that stay open: three by message, one in a waiting process, one as a stream."
  def open(name) do
    {:ok, session} = Graphport.open(name, %{}, timeout: 20_000)
    book = spawn_link(fn -> keep(%{}) end)

    demands =
      for node <- ["silent:1", "silent:2", "silent:3"],
          do: elem({:ok, _} = Graphport.demand_async(session, node, to: book, tag: node), 1)

    waits(book, "silent:waiting", fn node -> Graphport.demand(session, node, timeout: :infinity) end)

    waits(book, "silent:stream", &stream(session, &1))

    Peer.eventually(fn -> match?({:ok, %{open_demands: 5}}, Graphport.info(name)) end)
    %__MODULE__{session: session, book: book, cancelled: hd(demands)}
  end

  @doc "Demands a node, under its own name."
  def demand(ledger, node) do
    {:ok, demand} = Graphport.demand_async(ledger.session, node, to: ledger.book, tag: node)
    demand
  end

  @doc "Waits for the last message of each of these, or of all."
  def await(ledger, nodes \\ :all) do
    Peer.eventually(
      fn ->
        entries = entries(ledger)
        wanted = if nodes == :all, do: opened(), else: nodes
        Enum.all?(wanted, &is_map_key(entries, &1))
      end,
      20_000
    )
  end

  @doc "Asserts that each has had exactly one last message, this one: node => `:complete` or a code."
  def assert_last(ledger, expected) do
    entries = entries(ledger)

    assert Map.new(entries, fn {node, lasts} -> {node, Enum.map(lasts, &elem(&1, 0))} end) ==
             Map.new(expected, fn {node, last} -> {node, [last]} end)
  end

  @doc "The same last message for all that `open/1` opened and for these."
  def assert_all(ledger, last, more), do: assert_last(ledger, for(node <- opened() ++ more, do: {node, last}))

  @doc "The text of a node's error."
  def why(ledger, node) do
    [{_code, text}] = Map.fetch!(entries(ledger), node)
    text
  end

  @doc "What `open/1` demands."
  def opened, do: ["silent:1", "silent:2", "silent:3", "silent:waiting", "silent:stream"]

  defp stream(session, node) do
    {:ok, session |> Graphport.stream(node) |> Stream.run()}
  rescue
    error in Error -> {:error, error}
  end

  defp waits(book, node, demand) do
    spawn_link(fn ->
      case demand.(node) do
        {:ok, _outputs} -> send(book, {:graphport, node, {:demand_complete, node, %{}}})
        {:error, error} -> send(book, {:graphport, node, {:demand_error, node, error}})
      end

      # Whatever comes after the answer is a stray.
      receive do: (stray -> send(book, {:graphport, node, {:stray, stray}}))
    end)
  end

  @doc "The last messages that each has had: node => list of `{:complete | code, text}`."
  def entries(ledger) do
    ref = make_ref()
    send(ledger.book, {:entries, self(), ref})
    assert_receive {^ref, entries}, 20_000
    entries
  end

  defp keep(entries) do
    receive do
      {:entries, pid, ref} ->
        send(pid, {ref, entries}) && keep(entries)

      {:graphport, node, {kind, _, _}}
      when kind in [:node_stream, :node_output, :node_failed] and not is_map_key(entries, node) ->
        keep(entries)

      {:graphport, node, {:demand_complete, _, _}} ->
        keep(add(entries, node, {:complete, nil}))

      {:graphport, node, {:demand_error, _, error}} ->
        keep(add(entries, node, {error.code, error.message}))

      {:graphport, node, other} ->
        keep(add(entries, node, {other, nil}))

      stray ->
        keep(add(entries, :stray, {stray, nil}))
    end
  end

  defp add(entries, node, last), do: Map.update(entries, node, [last], &(&1 ++ [last]))
end
