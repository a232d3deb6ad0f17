defmodule Graphport.QueryTest do
  # What is asked of the engine itself, and what never stays behind.
  use Graphport.Case, async: true

  alias Graphport.Error

  setup %{name: name} do
    start_peer(name)
    :ok
  end

  test "all node types, or one", %{name: name} do
    assert Graphport.nodes(name) == {:ok, [%{"what" => "nodes", "args" => %{}}]}

    assert Graphport.nodes(name, type: "merge") ==
             {:ok, [%{"what" => "nodes", "args" => %{"type" => "merge"}}]}

    assert mailbox() == []
  end

  test "a type that is not there", %{name: name} do
    assert {:error, %Error{code: :unknown_type}} = Graphport.nodes(name, type: "nobody")
    assert {:error, %Error{code: :unencodable_value}} = Graphport.nodes(name, type: <<255>>)
  end

  test "an engine that does not answer", %{name: name} do
    assert {:error, %Error{code: :deadline_exceeded}} = Graphport.nodes(name, type: "silent", timeout: 30)
    assert {:ok, %{open_demands: 0}} = Graphport.info(name)
    assert mailbox() == []
    assert Process.info(self(), :monitors) == {:monitors, []}
  end

  test "an engine that dies, and an instance that stops, meanwhile", %{name: name} do
    {:ok, session} = Graphport.open(name, %{})

    for end_it <- [
          fn -> Graphport.demand_async(session, "die") end,
          fn -> stop_supervised({Graphport, name}) end
        ] do
      asking = Task.async(fn -> Graphport.nodes(name, type: "silent", timeout: :infinity) end)
      eventually(fn -> match?({:ok, %{open_demands: 1}}, Graphport.info(name)) end)
      {:ok, _result} = ensure_ok(end_it.())
      assert {:error, %Error{code: code}} = Task.await(asking)
      assert code in [:engine_down, :shutting_down]
      eventually(fn -> not match?({:ok, %{status: :down}}, Graphport.info(name)) end)
    end

    assert {:error, %Error{code: :unknown_instance}} = Graphport.nodes(name)
  end

  defp ensure_ok(:ok), do: {:ok, nil}
  defp ensure_ok({:ok, value}), do: {:ok, value}
end
