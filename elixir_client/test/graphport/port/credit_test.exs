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
    Credit.settle(credit, 100, 1000, fn -> 4480 end)
    assert Credit.unread(credit) == {348, 3480}
    assert Credit.take(credit, 10, :normal)
    Credit.give_back(credit, 10)
    assert Credit.unread(credit) == {348, 3480}
  end

  test "leaked credit comes back once the engine has read all that the port put out" do
    credit = Credit.new()
    for _ <- 1..448, do: Credit.take(credit, 10, :normal)
    # 100 of them were written, the other writers were killed.
    Credit.settle(credit, 99, 990, fn -> 1000 end)
    assert Credit.unread(credit) == {349, 3490}
    Credit.settle(credit, 100, 1000, fn -> 1000 end)
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

    assert taken == 448
    assert Credit.unread(credit) == {taken, taken}
  end

  test "those who find none leave the reserve to those who may use it" do
    credit = Credit.new()
    for _ <- 1..448, do: assert(Credit.take(credit, 100, :normal))
    parent = self()

    crowd =
      for _ <- 1..16 do
        Task.async(fn ->
          send(parent, :in_the_crowd)
          crowd(credit)
        end)
      end

    for _ <- crowd, do: assert_receive(:in_the_crowd, 5_000)

    for _ <- 1..200 do
      for _ <- 1..64, do: assert(Credit.take(credit, 100, :reserve))
      refute Credit.take(credit, 100, :reserve)
      for _ <- 1..64, do: Credit.give_back(credit, 100)
    end

    for task <- crowd, do: send(task.pid, :enough)
    assert Enum.sum(Task.await_many(crowd)) == 0
    assert Credit.unread(credit) == {448, 44_800}
  end

  test "what is taken while the port is asked stays counted" do
    credit = Credit.new()
    for _ <- 1..3, do: Credit.take(credit, 10, :normal)

    output = fn ->
      assert Credit.take(credit, 7, :normal)
      30
    end

    Credit.settle(credit, 3, 30, output)
    assert Credit.unread(credit) == {1, 7}
  end

  test "giving back what was reset already takes nothing from others" do
    credit = Credit.new()
    Credit.take(credit, 10, :normal)
    Credit.settle(credit, 1, 5, fn -> 5 end)
    Credit.give_back(credit, 10)
    assert Credit.unread(credit) == {0, 0}
    Credit.take(credit, 10, :normal)
    Credit.shorten(credit, 3)
    assert Credit.unread(credit) == {1, 7}
  end

  test "an engine that has read what never was, or unreads, is not believed" do
    credit = Credit.new()
    for _ <- 1..10, do: Credit.take(credit, 10, :normal)
    assert Credit.settle(credit, 10, 101, fn -> 100 end) == :impossible
    assert Credit.settle(credit, 5, 50, fn -> 100 end) == :ok
    assert Credit.settle(credit, 4, 50, fn -> 100 end) == :impossible
    assert Credit.settle(credit, 5, 49, fn -> 100 end) == :impossible
    assert Credit.unread(credit) == {5, 50}
  end

  test "one of many may ask what was read, and after the answer one again" do
    credit = Credit.new()
    asking = for _ <- 1..8, do: Task.async(fn -> Credit.ask?(credit) end)
    assert Enum.count(Task.await_many(asking), & &1) == 1
    :ok = Credit.settle(credit, 0, 0, fn -> 0 end)
    assert Credit.ask?(credit)
    refute Credit.ask?(credit)
  end

  # How many it could take, of what is not there, until told to stop.
  defp crowd(credit, taken \\ 0) do
    receive do
      :enough -> taken
    after
      0 -> crowd(credit, if(Credit.take(credit, 262_144, :normal), do: taken + 1, else: taken))
    end
  end
end
