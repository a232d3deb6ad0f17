defmodule Graphport.Faults.CreditPropertyTest do
  # Credit under any order of taking, writing, giving back, dying and reading: never more out than the window has, the
  # reserve left to those who may use it, and all of it back when the engine has read what the port put out.
  use ExUnit.Case, async: true

  import Graphport.Property
  import Graphport.Wire.Limits

  alias Graphport.Port.Credit

  @moduletag :proper

  test "is what the model says, within its window, and comes back" do
    assert holds?(type(:list, [step()]), &model_holds?/1, 1_000)
  end

  test "is not moved by reports that cannot be true" do
    report = type(:tuple, [[type(:integer, [0, 2_000]), type(:integer, [0, 100_000])]])

    assert holds?(report, fn {frames, bytes} ->
             credit = Credit.new()
             for _ <- 1..10, do: true = Credit.take(credit, 100, :normal)
             :ok = Credit.settle(credit, 4, 400, fn -> 1_000 end)
             before = Credit.unread(credit)

             case Credit.settle(credit, frames, bytes, fn -> 1_000 end) do
               :ok ->
                 frames >= 4 and bytes in 400..1_000 and frames <= bytes

               :impossible ->
                 Credit.unread(credit) == before and (frames < 4 or bytes not in 400..1_000 or frames > bytes)
             end
           end)
  end

  # Up to eight takers hold credit at once, as processes would.
  defp step do
    bytes = one_of([type(:integer, [1, 100]), type(:integer, [1, 262_144]), type(:integer, [1, 2_200_000])])

    one_of([
      type(:tuple, [
        [type(:exactly, [:take]), bytes, one_of([type(:exactly, [:normal]), type(:exactly, [:reserve])])]
      ]),
      type(:tuple, [[type(:exactly, [:takes]), type(:integer, [1, 600]), type(:exactly, [:normal])]]),
      type(:exactly, [:write]),
      type(:exactly, [:give_back]),
      type(:exactly, [:die]),
      type(:tuple, [[type(:exactly, [:read]), type(:integer, [0, 700])]]),
      type(:exactly, [:read_all])
    ])
  end

  # held: bytes of those who have taken and not written yet; pipe: bytes of frames written and not read, oldest first;
  # out: what the credit should say is out. Totals of what was written and read, as port and engine count them.
  defp model_holds?(steps) do
    model = %{credit: Credit.new(), held: [], pipe: [], out: {0, 0}, written: 0, read: {0, 0}}
    model = Enum.reduce_while(steps, model, &advance/2)
    model != :broken and comes_back?(model)
  end

  defp advance(step, model) do
    model = step(step, model)
    {frames, bytes} = Credit.unread(model.credit)

    if {frames, bytes} == model.out and frames <= window_frames() and bytes <= window_bytes(),
      do: {:cont, model},
      else: {:halt, :broken}
  end

  defp step({:takes, count, kind}, model),
    do: Enum.reduce(1..count, model, fn _, model -> step(:write, step({:take, 1, kind}, model)) end)

  defp step({:take, bytes, kind}, %{out: {frames, sent}} = model) do
    {most_frames, most_bytes} =
      if kind == :normal,
        do: {window_frames() - reserve_frames(), window_bytes() - reserve_bytes()},
        else: {window_frames(), window_bytes()}

    fits = frames + 1 <= most_frames and sent + bytes <= most_bytes

    case Credit.take(model.credit, bytes, kind) do
      ^fits when fits -> %{model | held: [bytes | model.held], out: {frames + 1, sent + bytes}}
      ^fits -> model
      _other -> %{model | out: :taken_wrongly}
    end
  end

  defp step(:write, %{held: [bytes | held]} = model),
    do: %{model | held: held, pipe: model.pipe ++ [bytes], written: model.written + bytes}

  defp step(:give_back, %{held: [bytes | held], out: {frames, sent}} = model) do
    Credit.give_back(model.credit, bytes)
    %{model | held: held, out: {max(frames - 1, 0), max(sent - bytes, 0)}}
  end

  # Its credit leaks.
  defp step(:die, %{held: [_bytes | held]} = model), do: %{model | held: held}
  defp step(:read_all, model), do: step({:read, length(model.pipe)}, model)

  defp step({:read, count}, %{read: {frames, bytes}, out: {out_frames, out_bytes}} = model) do
    {now, left} = Enum.split(model.pipe, count)
    read = {frames + length(now), bytes + Enum.sum(now)}
    :ok = Credit.settle(model.credit, elem(read, 0), elem(read, 1), fn -> model.written end)
    # All that the port put out was read: whatever is counted still has leaked, or is not written yet.
    out =
      if elem(read, 1) == model.written,
        do: {0, 0},
        else: {max(out_frames - length(now), 0), max(out_bytes - Enum.sum(now), 0)}

    %{model | pipe: left, read: read, out: out}
  end

  defp step(_nothing_held, model), do: model

  # Those who hold credit still write; then all is read. A reset that came in between has let them off.
  defp comes_back?(model) do
    model = Enum.reduce(model.held, model, fn _, model -> step(:write, model) end)
    model = step(:read_all, model)
    Credit.unread(model.credit) == {0, 0} and Credit.take(model.credit, window_bytes(), :reserve)
  end
end
