defmodule Graphport.Faults.ModelLoadTest do
  # Many more demands of a real model than it has slots or the pipe has credit: all are open at once, all end. Not all complete: that would take minutes.
  use Graphport.Case

  import Graphport.Pressure

  @moduletag :model
  @graph Path.expand("../../examples/answer.json", __DIR__)
  @demands 512
  @complete 32

  test "of 512 open demands of a model some complete, the others are cancelled, and each ends once", %{
    name: name
  } do
    start_engine(name)
    {:ok, session} = Graphport.open(name, {:file, @graph})

    demands =
      for n <- 1..@demands do
        inputs = %{"llm" => %{"max_tokens" => 2}, "prompt" => %{"text" => "#{n}"}}
        {:ok, demand} = Graphport.demand_async(session, "answer", inputs: inputs, tag: true, stream: false)
        demand
      end

    assert {:ok, %{open_demands: open}} = Graphport.info(name)
    assert open > @demands - @complete

    completed =
      for _ <- 1..@complete do
        assert_receive {:graphport, ref, {:demand_complete, "answer", %{"text" => _text}}}, 60_000
        ref
      end

    for demand <- demands, do: :ok = Graphport.cancel(demand)

    for %{ref: ref} <- demands, ref not in completed do
      assert_receive {:graphport, ^ref, {ended, "answer", _outputs_or_error}}, 10_000
      assert ended in [:demand_complete, :demand_error]
    end

    await_full_credit(name)
    assert {:ok, %{open_demands: 0}} = Graphport.info(name)
    assert mailbox() == []
  end
end
