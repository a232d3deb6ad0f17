defmodule Graphport.Instance.BacklogTest do
  use ExUnit.Case, async: true

  alias Graphport.Instance.Backlog

  defp chunk(node, chunk), do: {:workflow_stream, node, chunk}
  defp output(node), do: {:workflow_output, node, %{}}
  defp backlog(items), do: Enum.reduce(items, Backlog.new(), &Backlog.add(&2, &1))
  defp all(items), do: items |> backlog() |> Backlog.take(1_000_000) |> elem(0)

  test "joins the text of one node, in order" do
    given = [chunk("a", "1"), chunk("b", "x"), chunk("a", "2"), chunk("b", "y"), chunk("a", "3")]
    assert all(given) == [chunk("a", "123"), chunk("b", "xy")]
  end

  test "joins nothing across an output, an error, or another value of the node" do
    error = {:workflow_error, "a", Graphport.Error.new(:cancelled, "")}

    given = [
      chunk("a", "1"),
      output("b"),
      chunk("a", "2"),
      error,
      chunk("a", "3"),
      chunk("a", [4]),
      chunk("a", "5")
    ]

    assert all(given) == given
  end

  test "joins nothing to what was taken" do
    {[first], backlog} = [chunk("a", "1"), chunk("b", "x")] |> backlog() |> Backlog.take(1)
    assert first == chunk("a", "1")
    backlog = Backlog.add(backlog, chunk("a", "2"))
    assert {items, empty} = Backlog.take(backlog, 9)
    assert items == [chunk("b", "x"), chunk("a", "2")]
    assert Backlog.empty?(empty)
  end

  test "drops and counts chunks past its bounds, and keeps every output" do
    megabyte = String.duplicate("m", 1024 * 1024)
    backlog = backlog(Enum.flat_map(1..20, &[chunk("a", megabyte), output("#{&1}")]))
    assert {12, backlog} = Backlog.dropped(backlog)
    assert {0, backlog} = Backlog.dropped(backlog)
    {items, backlog} = Backlog.take(backlog, 100)
    assert Enum.count(items, &match?({:workflow_output, _, _}, &1)) == 20
    assert Enum.count(items, &match?({:workflow_stream, _, _}, &1)) == 8
    # There is room again.
    assert {[{:workflow_stream, "a", ^megabyte}], _} =
             backlog |> Backlog.add(chunk("a", megabyte)) |> Backlog.take(1)

    places = backlog(for n <- 1..10_050, do: chunk("a", n))
    assert {50, _backlog} = Backlog.dropped(places)
  end
end
