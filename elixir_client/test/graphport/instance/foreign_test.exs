defmodule Graphport.Instance.ForeignTest do
  use ExUnit.Case, async: true

  alias Graphport.Instance.Foreign

  # Hands messages on until the batch is over; the reasons of items that did not return.
  defp settle(foreign, ended \\ []) do
    if Foreign.idle?(foreign) do
      Enum.reverse(ended)
    else
      receive do
        message when elem(message, 0) in [:DOWN, :foreign_stalled?] ->
          case Foreign.handle(foreign, message) do
            {:ok, foreign} -> settle(foreign, ended)
            {:ended, reason, foreign} -> settle(foreign, [reason | ended])
          end
      after
        5_000 -> flunk("the batch did not end")
      end
    end
  end

  defp items do
    receive do
      {:item, item} -> [item | items()]
    after
      0 -> []
    end
  end

  defp run(items, stall_ms \\ 5_000) do
    test = self()

    run = fn
      {:item, item} -> send(test, {:item, item})
      :killed -> Process.exit(self(), :kill)
      :hang -> receive do: (:never -> :ok)
    end

    run |> Foreign.new(stall_ms) |> Foreign.give(items) |> settle()
  end

  test "runs a batch in order" do
    assert run(for n <- 1..100, do: {:item, n}) == []
    assert items() == Enum.to_list(1..100)
  end

  test "an item that ends its process costs that item" do
    assert run([{:item, 1}, :killed, {:item, 2}, :killed]) == [:killed, :killed]
    assert items() == [1, 2]
  end

  test "is stopped with what is under way" do
    test = self()
    foreign = Foreign.new(fn :hang -> receive do: (:never -> send(test, :no)) end, 5_000)
    assert Foreign.stop(foreign)
    %{pid: pid, monitor: monitor} = foreign = Foreign.give(foreign, [:hang])
    Foreign.stop(foreign)
    assert_receive {:DOWN, ^monitor, :process, ^pid, :killed}, 5_000
  end

  test "an item that does not return is killed" do
    assert run([{:item, 1}, :hang, {:item, 2}], 10) == [:killed]
    assert items() == [1, 2]
  end
end
