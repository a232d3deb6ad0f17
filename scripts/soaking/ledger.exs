# The soak's books: what was begun, how it ended, and whatever should not have happened.

defmodule Soak.Ledger do
  # Codes that a demand may end with while engines, sessions and owners are killed.
  @expected ~w(cancelled deadline_exceeded engine_down node_failed overloaded unknown_session)a

  def start do
    :ets.new(__MODULE__, [:named_table, :public, :set, write_concurrency: true])
    :ets.new(Soak.Wrongs, [:named_table, :public, :bag])
  end

  def begun(kind), do: count({kind, :begun})

  @doc "How it ended: `:complete`, `:killed`, `:left` (a stream that was not wanted to its end) or an error."
  def ended(kind, %{code: code, message: text}) do
    unless code in @expected, do: wrong("#{kind} ended with #{code}: #{text}")
    count({kind, code})
  end

  def ended(kind, outcome), do: count({kind, outcome})

  def note(what), do: count({:notes, what})

  @doc "Something that must not happen."
  def wrong(text), do: :ets.insert(Soak.Wrongs, {:wrong, text})

  def wrongs, do: for({:wrong, text} <- :ets.tab2list(Soak.Wrongs), do: text)

  @doc "Every kind must have ended as often as it was begun."
  def balance do
    for {kind, outcomes} <- kinds() do
      {begun, ends} = Map.pop(outcomes, :begun, 0)
      total = ends |> Map.values() |> Enum.sum()
      if total != begun, do: wrong("#{kind}: #{begun} begun, #{total} ended")
    end
  end

  def print do
    outcomes = for({_kind, ends} <- kinds(), outcome <- Map.keys(ends), uniq: true, do: outcome) -- [:begun]
    columns = [:begun | Enum.sort(outcomes)]
    line(["" | Enum.map(columns, &to_string/1)])

    for {kind, ends} <- Enum.sort(kinds()) do
      line([to_string(kind) | Enum.map(columns, &shown(Map.get(ends, &1)))])
    end

    for {{:notes, what}, times} <- Enum.sort(:ets.tab2list(__MODULE__)), do: IO.puts("#{what}: #{times}")
  end

  def total(outcome), do: kinds() |> Map.values() |> Enum.map(&Map.get(&1, outcome, 0)) |> Enum.sum()

  def noted(what), do: with([] <- :ets.lookup(__MODULE__, {:notes, what}), do: 0, else: ([{_, n}] -> n))

  defp kinds do
    rows =
      for {{kind, outcome}, times} <- :ets.tab2list(__MODULE__), kind != :notes, do: {kind, outcome, times}

    for {kind, outcome, times} <- rows,
        reduce: %{},
        do: (acc -> put_in(acc, [Access.key(kind, %{}), outcome], times))
  end

  defp count(key), do: :ets.update_counter(__MODULE__, key, 1, {key, 0})

  defp shown(nil), do: "."
  defp shown(number), do: to_string(number)

  defp line([first | rest]),
    do: IO.puts(String.pad_trailing(first, 22) <> Enum.map_join(rest, &String.pad_leading(&1, 18)))
end
