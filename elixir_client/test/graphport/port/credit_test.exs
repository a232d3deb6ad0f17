defmodule Graphport.Port.CreditTest do
  use ExUnit.Case, async: true

  alias Graphport.Port.Credit

  test "the reserve is for those who may use it" do
    credit = Credit.new()
    for _ <- 1..448, do: assert(Credit.take(credit, 10, :normal))
    refute Credit.take(credit, 10, :normal)
    for _ <- 1..64, do: assert(Credit.take(credit, 10, :reserve))
    refute Credit.take(credit, 10, :reserve)
    assert Credit.unread(credit) == {512, 5120}
  end

  test "bytes count as well as frames" do
    credit = Credit.new()
    assert Credit.take(credit, 1_048_576, :normal)
    refute Credit.take(credit, 1_048_576, :normal)
    assert Credit.take(credit, 1_048_576 - 65_536, :normal)
    refute Credit.take(credit, 1, :normal)
    assert Credit.take(credit, 65_536, :reserve)
  end

  test "what is read may be sent again, and what was not written is given back" do
    credit = Credit.new()
    for _ <- 1..448, do: Credit.take(credit, 10, :normal)
    Credit.settle(credit, 100, 1000, 4480)
    assert Credit.unread(credit) == {348, 3480}
    assert Credit.take(credit, 10, :normal)
    Credit.give_back(credit, 10)
    assert Credit.unread(credit) == {348, 3480}
  end

  test "leaked credit comes back once the engine has read all that the port put out" do
    credit = Credit.new()
    for _ <- 1..448, do: Credit.take(credit, 10, :normal)
    # 100 of them were written, the other writers were killed.
    Credit.settle(credit, 99, 990, 1000)
    assert Credit.unread(credit) == {349, 3490}
    Credit.settle(credit, 100, 1000, 1000)
    assert Credit.unread(credit) == {0, 0}
    assert Credit.take(credit, 10, :normal)
  end

  test "takers at once never take more than there is" do
    credit = Credit.new()

    taken =
      for(
        _ <- 1..8,
        do: Task.async(fn -> Enum.count(1..200, fn _ -> Credit.take(credit, 1, :normal) end) end)
      )
      |> Task.await_many()
      |> Enum.sum()

    assert taken <= 448
    assert Credit.unread(credit) == {taken, taken}
  end
end
